"""A scenario as people write it: what to set up, what to do, what must hold.

The field descriptions are the reference: docs/scenario-reference.md and the JSON Schema are made from them.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from harness.model.base import Size, Value, short_forms
from harness.model.names import TpmInterface
from harness.model.words import xen
from harness.model.words.expectations import AnyExpectation, Expectation
from harness.model.words.fitting import misfits
from harness.model.words.kdump import CaptureStep, CrashKernelStep, CrashStep
from harness.model.words.kexec import KexecOptions, KexecStep, NextKernel, Syscall
from harness.model.words.memorymap import MemoryRequest, outside_mistake
from harness.model.words.runtime import KexecRefusedStep, RuntimeRequest, mistake
from harness.model.words.steps import AnyStep, Step
from harness.model.words.tables import NoRamdisk, TableName, TableRequest
from harness.model.words.vitals import BootOptions, BootStep

MAX_TABLES = 16
"""What the EFI agent takes (MAX_TABLES in plan.h)."""
SHORT_STEPS = short_forms(AnyStep)
SHORT_EXPECTATIONS = short_forms(AnyExpectation)


def _long(item: Any, short: dict[str, object]) -> Any:
    return {item: short[item]} if isinstance(item, str) and item in short else item


class Machine(Value):
    """The virtual machine (QEMU q35)."""

    memory: Size = Field(
        default=2**30,
        description="Guest memory. Above 2GiB some RAM lies over 4 GiB, where kernels >= 6.8 place everything.",
        examples=["1GiB"],
    )
    cpus: int = Field(default=1, ge=1, le=8, description="Number of virtual CPUs.")
    vga: bool = Field(
        default=False,
        description="A VGA device without option ROM (an option ROM splits System RAM and hides bugs). "
        "OVMF publishes a BGRT only when there is a graphics device.",
    )
    tpm: TpmInterface | None = Field(
        default=None,
        description="A TPM 2.0 (swtpm), new in each run, behind this interface. Firmware measures what it starts, and "
        "its event log is handed to the kernel.",
    )

    option_roms: list[Size] = Field(
        default_factory=list,
        max_length=8,
        description="PCI devices without a driver, each with an option ROM of this size. The EFI stub hands a copy of "
        "every ROM to the kernel as setup_data, which splits System RAM.",
        examples=["[16MiB, 16MiB]"],
    )

    @model_validator(mode="after")
    def _roms_that_exist(self) -> Machine:
        for size in self.option_roms:
            if size & (size - 1) or not 2**16 <= size <= 2**24:
                raise ValueError("an option ROM has 64KiB, 128KiB, 256KiB ... up to 16MiB")
        return self

    @model_validator(mode="after")
    def _enough_memory(self) -> Machine:
        if not 256 * 2**20 <= self.memory <= 64 * 2**30 or self.memory % 2**20:
            raise ValueError("memory must be from 256MiB to 64GiB, in whole MiB")
        return self


class FirmwareSetup(Value):
    """What the EFI agent does to the firmware's tables before it starts the kernel."""

    tables: list[TableRequest] = Field(
        default_factory=list,
        max_length=MAX_TABLES,
        description="Tables to install, each at most once; none leaves the firmware as it is.",
    )
    memory: MemoryRequest | None = Field(default=None, description="The memory map that the kernel gets.")
    runtime: RuntimeRequest | None = Field(
        default=None,
        description="The runtime driver. Left out, it is there with all its hooks as soon as a step wants it.",
    )

    @model_validator(mode="after")
    def _each_once(self) -> FirmwareSetup:
        names = [table.name for table in self.tables]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"there can be only one {twice} among the tables")
        return self


class Scenario(Value):
    """One scenario with its matrix resolved: what ``harness run`` runs and ``pytest scenarios`` collects."""

    id: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*(/[a-z0-9][a-z0-9-]*)+$",
        description="Stable name, ``directory/name``; never reuse one for something else.",
        examples=["esrt/kexec-file"],
    )
    why: str = Field(min_length=1, description="One or two sentences: what holds if this passes.")
    refs: list[str] = Field(
        default_factory=list, description="Kernel commits, mails or URLs that this scenario comes from."
    )
    kernel: str = Field(
        description="The kernel that boots first: a name from kernels/, or a path to a bzImage or .deb."
    )
    firmware_name: str = Field(default="ovmf-x64", description="The firmware, by name.")
    machine: Machine = Field(default_factory=Machine, description="The virtual machine.")
    cmdline: list[str] = Field(default_factory=list, description="Command line parameters for every kernel of the run.")
    hypervisor: xen.HypervisorOptions | None = Field(
        default=None, description="Xen, between firmware and the kernel: the kernel is then its dom0."
    )
    kaslr: bool = Field(
        default=False,
        description="Leave out nokaslr, which all kernels are told otherwise, for runs that can be compared.",
    )
    firmware: FirmwareSetup = Field(default_factory=FirmwareSetup, description="What is installed before boot.")
    steps: list[Step] = Field(min_length=1, description="What happens, in order: boot, then the others.")
    expect: list[Expectation] = Field(min_length=1, description="What must hold.")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, data: Any) -> Any:
        """``boot`` for ``{boot: {}}``, as for other steps without options; ``no_crash`` for ``{no_crash: true}``."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if isinstance(data.get("steps"), list):
            data["steps"] = [_long(step, SHORT_STEPS) for step in data["steps"]]
        if isinstance(data.get("expect"), list):
            data["expect"] = [_long(item, SHORT_EXPECTATIONS) for item in data["expect"]]
        return data

    @model_validator(mode="after")
    def _in_order(self) -> Scenario:
        kinds = [type(step) for step in self.steps]
        if kinds[0] is not BootStep or BootStep in kinds[1:]:
            raise ValueError("steps must be one boot, first, then the others")
        crash = [kind for kind in kinds if kind in (CrashKernelStep, CrashStep, CaptureStep)]
        if crash and (crash != [CrashKernelStep, CrashStep, CaptureStep] or kinds[-2:] != crash[1:]):
            raise ValueError("a crash is one crash_kernel, later one crash, then capture as the last step")
        if CrashKernelStep in kinds and KexecStep in kinds[kinds.index(CrashKernelStep) :]:
            raise ValueError("no kexec can come after crash_kernel: the crash starts that kernel next")
        return self

    @model_validator(mode="after")
    def _one_bgrt(self) -> Scenario:
        if self.machine.vga and any(table.name is TableName.BGRT for table in self.firmware.tables):
            raise ValueError(
                "with vga OVMF has a BGRT of its own, and a kernel takes the first: leave out vga, or the bgrt table"
            )
        return self

    @model_validator(mode="after")
    def _without_initrd(self) -> Scenario:
        last = self.steps[-1]
        wanted = any(isinstance(item, NoRamdisk) for item in self.expect)
        if any(kexec.without_initrd for kexec in self.kexecs[:-1]) or (
            self.kexecs and self.kexecs[-1].without_initrd and not isinstance(last, KexecStep)
        ):
            raise ValueError("nothing can come after a kexec with 'initrd: none': that kernel ends for want of a root")
        if wanted != bool(self.kexecs and self.kexecs[-1].without_initrd):
            raise ValueError("no_ramdisk and a last kexec with 'initrd: none' belong together")
        if wanted and any(isinstance(step, KexecRefusedStep) for step in self.steps):
            raise ValueError("kexec_refused tries the next kernel with its initrd: not with 'initrd: none'")
        return self

    @model_validator(mode="after")
    def _memory_is_there(self) -> Scenario:
        wanted = self.firmware.memory
        if wanted is None:
            return self
        scaled = wanted.map.memory if wanted.map is not None else None
        wrong = outside_mistake([*wanted.ranges, *(wanted.map.entries if wanted.map else ())], self.machine.memory)
        if scaled is not None and scaled != self.machine.memory:
            wrong = f"the map was scaled for {scaled // 2**20}MiB, the machine has {self.machine.memory // 2**20}MiB"
        if wanted.kernel_at is not None and self.hypervisor is not None:
            wrong = "kernel_at is for a kernel that the EFI agent starts, not for one that a hypervisor starts"
        if wrong:
            raise ValueError(f"firmware.memory: {wrong}")
        return self

    @model_validator(mode="after")
    def _runtime_makes_sense(self) -> Scenario:
        wrong = mistake(self.steps, self.expect, self.firmware.runtime)
        kinds = [type(step) for step in self.steps]
        tried = KexecRefusedStep in kinds and self.hypervisor is None
        if not wrong and tried and KexecStep not in kinds[kinds.index(KexecRefusedStep) :]:
            wrong = "kexec_refused tries the kernel of the next kexec step, but none comes after it"
        if wrong:
            raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _hypervisor_makes_sense(self) -> Scenario:
        wrong = xen.mistake(
            self.hypervisor, list(self.steps), list(self.expect), (BootStep, KexecRefusedStep, KexecStep)
        )
        if not wrong and self.hypervisor is not None and self.firmware.runtime is not None:
            wrong = "a hypervisor and the runtime driver cannot be combined: Xen calls firmware itself"
        if not wrong and self.hypervisor is not None and any(item.syscall is Syscall.FILE for item in self.kexecs[:1]):
            wrong = "the first kexec on Xen must be of syscall load: kexec_file_load does not go to Xen"
        if wrong:
            raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _something_to_judge(self) -> Scenario:
        wrong = next(filter(None, (item.vacuous(self) for item in self.expect)), None)
        if wrong:
            raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _fits(self) -> Scenario:
        wrong = next(misfits(self), None)
        if wrong is not None:
            raise wrong
        return self

    @property
    def boot(self) -> BootOptions:
        return next(step.boot for step in self.steps if isinstance(step, BootStep))

    @property
    def kernels(self) -> tuple[str, ...]:
        """The kernels of the epochs, in order, as they are named here: registry names or paths."""
        return (self.kernel, *(item.kernel or self.kernel for item in self.following))

    @property
    def kexecs(self) -> tuple[KexecOptions, ...]:
        return tuple(step.kexec for step in self.steps if isinstance(step, KexecStep))

    @property
    def following(self) -> tuple[NextKernel, ...]:
        """The kernels after the first, in the order in which they run: those of kexecs, then the capture kernel."""
        found: list[NextKernel] = []
        for step in self.steps:
            if isinstance(step, KexecStep):
                found.append(step.kexec)
            elif isinstance(step, CrashKernelStep):
                found.append(step.crash_kernel)
        return tuple(found)

    @property
    def cmdlines(self) -> tuple[list[str], ...]:
        """What the scenario puts on the command line of each kernel, in the order in which they run."""
        return tuple([*self.cmdline, *more] for more in (self.boot.cmdline, *(item.cmdline for item in self.following)))
