"""The part of a plan that is about runtime services: the driver, the steps' actions, what they need besides. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError
from harness.model.plan import EpochPlan, FirmwareFiles, Payload
from harness.model.scenario import Scenario
from harness.model.words.driver import FirmwareArch, RuntimePlan
from harness.model.words.kdump import CrashStep, CrashTrigger
from harness.model.words.kexec import KexecStep
from harness.model.words.pagetables import PageTablesStep, StressStep
from harness.model.words.runtime import AliveStep, RebootStep, RuntimeRequest, faults, wants_driver
from harness.model.words.steps import Step

_DISK = "initrd1"
"""Serial of the disk that ``alive`` reads where no kexec has given the machine one: the first kernel's own initrd."""


@dataclass(frozen=True)
class RuntimeDriver:
    """The runtime driver as it was built."""

    path: Path
    sha256: str
    symbols: Mapping[str, int]
    """Offsets of its functions from the image base, bytes."""


def runtime_plan(scenario: Scenario, driver: RuntimeDriver | None, firmware: FirmwareFiles) -> RuntimePlan | None:
    """The driver's part of the plan; None when no step wants it.

    Raises:
        InputError: a fault that this firmware cannot commit.
    """
    request = scenario.firmware.runtime
    wanted = any(_wanted_by(step) for step in scenario.steps)
    if request is None and not wanted:
        return None
    if driver is None:
        raise ValueError("a step wants the runtime driver, but none was built")
    request = request or RuntimeRequest()
    armed = {item.service: item.fault for item in request.armed}
    for fault in (*armed.values(), *(fault for step in scenario.steps for fault in faults(step))):
        if firmware.arch is FirmwareArch.IA32 and not fault.on_ia32:
            raise InputError(
                f"{scenario.id}: 32-bit firmware cannot commit the fault {fault}",
                hint="choose another fault, or 64-bit firmware",
            )
    return RuntimePlan(
        driver=driver.path,
        driver_sha256=driver.sha256,
        hooks=tuple(request.hooks),
        armed=armed,
        memattr=request.memattr,
        symbols=dict(driver.symbols),
    )


def _wanted_by(step: Step) -> bool:
    if isinstance(step, CrashStep):
        return step.crash.by is CrashTrigger.FIRMWARE_FAULT
    return wants_driver(step) or isinstance(step, PageTablesStep | StressStep)


def disk(scenario: Scenario, first: EpochPlan) -> tuple[Payload, ...]:
    """A disk for ``alive`` to read, where the machine would have none."""
    if not any(isinstance(step, AliveStep) for step in scenario.steps):
        return ()
    return (Payload(serial=_DISK, path=first.initrd, size_bytes=first.initrd_size_bytes),)


def with_reboot(scenario: Scenario, extra: Sequence[str], epoch: int) -> list[str]:
    """The further parameters of one epoch's kernel, with ``reboot=`` where that kernel is to reset the machine."""
    last = 1 + sum(isinstance(step, KexecStep | CrashStep) for step in scenario.steps)
    step = scenario.steps[-1]
    return [*extra, *(step.reboot.by.parameters if isinstance(step, RebootStep) and epoch == last else ())]
