"""Words for scenarios about runtime services: the driver firmware gets, the calls, and what must come of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Literal

from pydantic import Field, model_validator

from harness.model.base import ExpectationValue, StepValue, Value
from harness.model.words.driver import Fault, MemattrChoice, Service
from harness.model.words.kexec import Syscall


class RuntimeCall(StrEnum):
    """The runtime services that a step can call from user space. ResetSystem is reached by the step ``reboot``."""

    SET_VARIABLE = Service.SET_VARIABLE.value
    """By a write in efivarfs."""
    GET_TIME = Service.GET_TIME.value
    """By /dev/efi_test (CONFIG_EFI_TEST): x86 kernels never call GetTime by themselves (RTC_DRV_EFI is not for x86)."""
    QUERY_VARIABLE_INFO = Service.QUERY_VARIABLE_INFO.value
    """By a write of a non-volatile variable: x86 asks first whether there is room (efi_query_variable_store)."""

    @property
    def service(self) -> Service:
        return Service(self.value)


class RebootBy(StrEnum):
    """How the kernel is asked to reset the machine (``reboot=``, Documentation/admin-guide/kernel-parameters.txt)."""

    DEFAULT = "default"
    """As the kernel does it without ``reboot=``: by ACPI where it can."""
    EFI = "efi"
    """``reboot=efi``: firmware's ResetSystem."""
    ACPI = "acpi"
    KBD = "kbd"
    PCI = "pci"

    @property
    def parameters(self) -> tuple[str, ...]:
        """What it takes on the kernel's command line."""
        return () if self is RebootBy.DEFAULT else (f"reboot={self.value}",)


class Containment(StrEnum):
    """What the kernel must make of a fault inside firmware."""

    CONTAINED = "contained"
    """The call fails, EFI runtime services are switched off, the machine goes on."""
    SURVIVED = "survived"
    """The machine goes on; the task that called firmware may be lost."""


class RuntimeWork(StrEnum):
    """How long runtime services must work."""

    WORK = "work"
    FIRST_KERNEL_ONLY = "first-kernel-only"
    """A kexec'ed kernel has none: so it is in mixed mode (kexec_enter_virtual_mode(), arch/x86/platform/efi/efi.c)."""


class ArmedFault(Value):
    """A fault that every call of a service commits, from the end of boot services on."""

    service: Service = Field(description="The service. Not set-variable, whose faults the runtime step chooses.")
    fault: Fault = Field(description="The fault.")


class RuntimeRequest(Value):
    """The runtime driver: it hooks runtime services, keeps a logbook of their calls, and misbehaves when told to."""

    hooks: list[Service] = Field(
        default_factory=lambda: list(Service), min_length=1, description="Services to hook; all, when left out."
    )
    memattr: MemattrChoice = Field(
        default=MemattrChoice.CORRECT,
        description="Firmware's Memory Attributes Table: correct describes the driver (code read-only, data not "
        "executable), keep leaves it as it was before the driver (the first call of a hook faults), drop takes it "
        "away.",
    )
    armed: list[ArmedFault] = Field(default_factory=list, description="Faults armed from the start.")

    @model_validator(mode="after")
    def _possible(self) -> RuntimeRequest:
        if len(set(self.hooks)) != len(self.hooks):
            raise ValueError("hooks names a service twice")
        services = [item.service for item in self.armed]
        if len(set(services)) != len(services):
            raise ValueError("armed names a service twice")
        for item in self.armed:
            if item.service not in self.hooks:
                raise ValueError(f"armed names {item.service}, which is not among the hooks")
            if item.service is Service.SET_VARIABLE:
                raise ValueError("armed cannot name set-variable: a runtime step chooses its fault")
            if item.fault is Fault.NONE:
                raise ValueError("armed 'none' arms nothing; leave it out")
        return self


class RuntimeOptions(Value):
    """One call of a runtime service from user space; with a fault the driver misbehaves inside it."""

    call: RuntimeCall = Field(description="The service.")
    fault: Fault | None = Field(default=None, description="What goes wrong inside firmware; null for nothing.")
    wait_s: int = Field(
        default=20, ge=1, le=600, description="Seconds that the caller waits before the call counts as hanging."
    )

    @model_validator(mode="after")
    def _a_fault(self) -> RuntimeOptions:
        if self.fault is Fault.NONE:
            raise ValueError("fault 'none' is no fault; leave it out")
        return self


class AliveOptions(Value):
    """Is the machine still alive: fork, memory, a read from a disk, no task stuck in an uninterruptible wait?"""


class EfivarsOptions(Value):
    """Variables written, read back and compared."""

    round_trips: int = Field(ge=1, le=100_000, description="Writes of one variable, each read back and compared.")


class RebootOptions(Value):
    """The kernel resets the machine; nothing can come after it."""

    by: RebootBy = Field(
        default=RebootBy.DEFAULT,
        description="What resets it. efi is firmware's ResetSystem. All but default put reboot= on the command line.",
    )
    fault: Fault | None = Field(default=None, description="What goes wrong inside ResetSystem; null for nothing.")

    @model_validator(mode="after")
    def _reachable(self) -> RebootOptions:
        if self.fault is Fault.NONE:
            raise ValueError("fault 'none' is no fault; leave it out")
        if self.fault is not None and self.by is not RebootBy.EFI:
            raise ValueError("fault needs by: efi, otherwise the kernel never calls ResetSystem")
        return self


class KexecRefusedOptions(Value):
    """A kexec that the kernel must refuse to load."""

    syscall: Syscall = Field(description="file: kexec_file_load (kexec -s); load: kexec_load (kexec -c).")


class RuntimeStep(StepValue):
    runtime: RuntimeOptions = Field(description="Call a runtime service once.")


class AliveStep(StepValue):
    alive: AliveOptions = Field(description="Fork, use memory, read from a disk, look for tasks that are stuck.")


class EfivarsStep(StepValue):
    efivars: EfivarsOptions = Field(description="Write, read back and compare an EFI variable again and again.")


class RebootStep(StepValue):
    reboot: RebootOptions = Field(description="Reset the machine, as the last step.")


class KexecRefusedStep(StepValue):
    kexec_refused: KexecRefusedOptions = Field(
        description="Try to load the kernel of the next kexec step; the running kernel must refuse it with ENOEXEC. In "
        "a dom0: its own kernel, which must be refused with any error."
    )


class RuntimeFaultExpected(ExpectationValue):
    runtime_fault: Containment = Field(
        description="What every fault of the runtime and reboot steps must come to. contained: the kernel reports it "
        "with the right address, the call fails with EIO, later calls fail without reaching firmware, and the machine "
        "goes on (for ResetSystem: is reset all the same). survived: the machine goes on and the kernel names the "
        "right exception; for faults that no kernel handles. See docs/runtime-faults.md."
    )


class RuntimeServicesExpected(ExpectationValue):
    runtime_services: RuntimeWork = Field(
        description="work: every call without a fault succeeds, reaches the driver's hook, and every variable reads "
        "back as it was written. first-kernel-only: the same, but after a kexec there are no runtime services."
    )


class FirmwareBitsExpected(ExpectationValue):
    firmware_bits: Literal[32, 64] = Field(
        description="The word size of the firmware, as the kernel (fw_platform_size) and the driver itself report it."
    )


def mistake(steps: Sequence[object], expect: Sequence[object], request: RuntimeRequest | None) -> str | None:
    """What is wrong with a scenario's steps, as far as they are about runtime services; None when nothing is."""
    hooks = set(Service) if request is None else set(request.hooks)
    for place, step in enumerate(steps):
        if isinstance(step, RebootStep) and place + 1 < len(steps):
            return "steps cannot go on after reboot: the machine is reset"
        if isinstance(step, RuntimeStep):
            wrong = _call_mistake(step.runtime.call.service, step.runtime.fault, hooks, request)
        elif isinstance(step, RebootStep):
            wrong = (
                _call_mistake(Service.RESET_SYSTEM, step.reboot.fault, hooks, request) if step.reboot.fault else None
            )
        else:
            wrong = None
        if wrong:
            return wrong
    faulty = any(faults(step) for step in steps) or bool(request and request.armed)
    if any(isinstance(item, RuntimeFaultExpected) for item in expect) and not faulty:
        return "runtime_fault needs a fault: in a runtime or reboot step, or armed"
    return None


def _call_mistake(
    service: Service, fault: Fault | None, hooks: Collection[Service], request: RuntimeRequest | None
) -> str | None:
    if service not in hooks:
        return f"{service} is called, but it is not among firmware.runtime.hooks"
    if fault is not None and Service.SET_VARIABLE not in hooks:
        return "a fault is chosen by a variable, so set-variable must be among firmware.runtime.hooks"
    if (
        fault is not None
        and fault.needs_memattr
        and request is not None
        and request.memattr is not MemattrChoice.CORRECT
    ):
        return f"{fault} is a fault only with firmware.runtime.memattr: correct"
    return None


def faults(step: object) -> tuple[Fault, ...]:
    """The fault of a step, if it has one."""
    fault = None
    if isinstance(step, RuntimeStep):
        fault = step.runtime.fault
    elif isinstance(step, RebootStep):
        fault = step.reboot.fault
    return () if fault is None else (fault,)


def wants_driver(step: object) -> bool:
    """Whether a step needs the runtime driver."""
    return isinstance(step, RuntimeStep | EfivarsStep) or bool(faults(step))


RuntimeSubjectStep = RuntimeStep | AliveStep | EfivarsStep | RebootStep | KexecRefusedStep
RuntimeExpectation = RuntimeFaultExpected | RuntimeServicesExpected | FirmwareBitsExpected
