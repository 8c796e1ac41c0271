"""Runtime services that must work, and the driver that looks on."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from support.records import Copy
from support.runtime_records import (
    CONTAINED,
    MIXED,
    SERVICES_AT,
    called,
    counted,
    logbooks,
    red,
    write,
)
from support.verdicts import check_of
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]


@pytest.mark.parametrize(
    "fields",
    [
        {"errno": "5"},
        {"errno": "1000", "done": "3"},
        {"returned": "no", "state": "D"},
    ],
)
def test_a_call_without_fault_must_work(copy_of: CopyOf, told: Told, fields: dict[str, str]) -> None:
    red(told(called(copy_of(CONTAINED), 0, **fields).judge()), "runtime_services", Cause.RUNTIME_CALL_FAILED)


def test_a_call_must_reach_the_hook(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(CONTAINED)
    before = struct.unpack_from("<Q", (copy.path / logbooks(copy)[0]).read_bytes(), SERVICES_AT + 24)[0]
    verdict = counted(copy, 1, "runtime_calls", before).judge()
    red(told(verdict), "runtime_services", Cause.RUNTIME_CALL_FAILED)


def test_a_call_must_come_back_from_firmware(copy_of: CopyOf, told: Told) -> None:
    verdict = counted(copy_of(CONTAINED), 1, "returns", 0).judge()
    red(told(verdict), "runtime_services", Cause.RUNTIME_CALL_FAILED)


def test_a_logbook_that_was_read_in_the_middle_of_a_change_proves_nothing(copy_of: CopyOf) -> None:
    copy = copy_of(CONTAINED)
    verdict = write(copy, logbooks(copy)[1], 0x10, 45).judge()
    check = check_of(verdict, "runtime driver")
    assert (check.status, check.cause) == (Status.ERROR, Cause.SETUP_NOT_PROVED)
    assert "in the middle of change 45" in check.summary


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("hook get-time 0x3f65f959 0x3f6557fd", "hook get-time 0x3f65f959 0x3f65f959"),
        ("hook reset-system", "nothing reset-system"),
    ],
)
def test_a_hook_that_is_not_there_proves_nothing(copy_of: CopyOf, told: Told, old: str, new: str) -> None:
    copy = copy_of(CONTAINED)
    copy.edit(str(copy.only(type="frame", kind="runtime", epoch=0)["body_file"]), old, new)
    red(told(copy.judge()), "runtime driver", Cause.SETUP_NOT_PROVED, status=Status.ERROR)


def test_another_treatment_of_memattr_proves_nothing(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(CONTAINED).change({"fields": {"memattr": "drop"}}, type="frame", kind="runtime")
    red(told(copy.judge()), "runtime driver", Cause.SETUP_NOT_PROVED, status=Status.ERROR)


def test_a_driver_that_was_not_reported_proves_nothing(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(CONTAINED).drop(type="frame", kind="runtime")
    red(told(copy.judge()), "runtime driver", Cause.SETUP_NOT_PROVED, status=Status.ERROR)


def test_a_logbook_of_another_run_proves_nothing(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(CONTAINED)
    write(copy, logbooks(copy)[0], 0x18, 0x12345678)
    red(told(copy.judge()), "runtime driver", Cause.SETUP_NOT_PROVED, "12345678", status=Status.ERROR)


def test_mixed_mode_is_as_documented(copy_of: CopyOf) -> None:
    verdict = copy_of(MIXED).judge()
    assert verdict.status is Status.PASS
    assert check_of(verdict, "kexec_refused").summary == "refused: kexec_file_load flags=0x0: errno 8"
    assert check_of(verdict, "runtime_services").summary.endswith("none offered after kexec")
    assert check_of(verdict, "firmware_bits").summary.startswith("firmware of 32 bits: fw_platform_size 32, pointers")


def test_services_after_a_kexec_in_mixed_mode(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(MIXED).change({"fields": {"runtime": "present"}}, type="frame", kind="called", epoch=2)
    red(told(copy.judge()), "runtime_services", Cause.RUNTIME_CALL_FAILED)


@pytest.mark.parametrize("where", ["kernel", "driver"])
def test_another_word_size_proves_nothing(copy_of: CopyOf, where: str) -> None:
    copy = copy_of(MIXED)
    if where == "kernel":
        copy.change({"fields": {"platform_size": "64"}}, type="frame", kind="called", epoch=1)
    else:
        write(copy, logbooks(copy)[1], 0x48, 8)
    assert check_of(copy.judge(), "firmware_bits").cause is Cause.SETUP_NOT_PROVED
