"""The row of runtime services: calls of firmware, and firmware that misbehaves in them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from harness.model.causes import Cause
from harness.model.words.runtime import (
    AliveStep,
    EfivarsStep,
    FirmwareBitsExpected,
    KexecRefusedStep,
    RebootStep,
    RuntimeFaultExpected,
    RuntimeServicesExpected,
    RuntimeStep,
)
from harness.subjects.claims import Always, Rule, Subject
from harness.subjects.runtime.alive import check_alive, check_kexec_refused, check_reboot
from harness.subjects.runtime.fault import check_runtime_fault
from harness.subjects.runtime.services import check_driver, check_firmware_bits, check_runtime_services


def _fault(item: RuntimeFaultExpected) -> Iterator[Rule]:
    yield "runtime_fault", partial(check_runtime_fault, level=item.runtime_fault)


def _services(item: RuntimeServicesExpected) -> Iterator[Rule]:
    yield "runtime_services", partial(check_runtime_services, level=item.runtime_services)


def _bits(item: FirmwareBitsExpected) -> Iterator[Rule]:
    yield "firmware_bits", partial(check_firmware_bits, bits=item.firmware_bits)


SUBJECT = Subject(
    name="runtime",
    causes=(
        *(Cause.RUNTIME_FAULT_SILENT, Cause.RUNTIME_FAULT_FATAL, Cause.RUNTIME_FAULT_HANG),
        *(Cause.RUNTIME_FAULT_MISREPORTED, Cause.RUNTIME_NOT_DISABLED, Cause.RUNTIME_CALL_FAILED),
        *(Cause.NOT_ALIVE, Cause.REBOOT_FAILED, Cause.KEXEC_ACCEPTED),
    ),
    expectations={RuntimeFaultExpected: _fault, RuntimeServicesExpected: _services, FirmwareBitsExpected: _bits},
    always=(
        Always(50, "runtime driver", check_driver),
        Always(51, "alive", check_alive),
        Always(52, "reboot", check_reboot),
        Always(53, "kexec_refused", check_kexec_refused),
    ),
    steps=(RuntimeStep, AliveStep, EfivarsStep, RebootStep, KexecRefusedStep),
    headline=("runtime_",),
)
