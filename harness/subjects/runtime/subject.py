"""The checks about runtime services: those of every run, and those that a scenario asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from harness.model.expectations import Expectation
from harness.model.runtime_steps import FirmwareBitsExpected, RuntimeFaultExpected, RuntimeServicesExpected
from harness.model.verdict import Cause, Check
from harness.record.observations import Observations
from harness.subjects.runtime.alive import check_alive, check_kexec_refused, check_reboot
from harness.subjects.runtime.fault import check_runtime_fault
from harness.subjects.runtime.services import check_driver, check_firmware_bits, check_runtime_services

Rule = tuple[str, Callable[[Observations], Check | None]]

TELLING = (
    Cause.RUNTIME_FAULT_SILENT,
    Cause.RUNTIME_FAULT_FATAL,
    Cause.RUNTIME_FAULT_HANG,
    Cause.RUNTIME_FAULT_MISREPORTED,
    Cause.RUNTIME_NOT_DISABLED,
    Cause.RUNTIME_CALL_FAILED,
    Cause.NOT_ALIVE,
    Cause.REBOOT_FAILED,
    Cause.KEXEC_ACCEPTED,
)
"""Causes, the one that says most first."""
CONSEQUENCES = {
    Cause.RUNTIME_FAULT_FATAL: frozenset(
        {
            *(Cause.RUNTIME_FAULT_FATAL, Cause.PANIC, Cause.OOPS, Cause.RESET, Cause.HANG),
            *(Cause.AGENT_LOST, Cause.REBOOT_FAILED),
        }
    ),
    Cause.RUNTIME_FAULT_HANG: frozenset({Cause.RUNTIME_FAULT_HANG, Cause.HANG, Cause.AGENT_LOST, Cause.REBOOT_FAILED}),
}
"""Causes of other checks that only say again what a cause does."""


def always() -> Iterator[Rule]:
    """Checks of the steps themselves; each is None where the scenario has no such step."""
    yield "runtime driver", check_driver
    yield "alive", check_alive
    yield "reboot", check_reboot
    yield "kexec_refused", check_kexec_refused


def expected(expectation: Expectation) -> Iterator[Rule]:
    """The check of an expectation; nothing for one of another subject."""
    match expectation:
        case RuntimeFaultExpected(runtime_fault=level):
            yield "runtime_fault", partial(check_runtime_fault, level=level)
        case RuntimeServicesExpected(runtime_services=work):
            yield "runtime_services", partial(check_runtime_services, level=work)
        case FirmwareBitsExpected(firmware_bits=bits):
            yield "firmware_bits", partial(check_firmware_bits, bits=bits)
