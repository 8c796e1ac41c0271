"""The machine after a runtime call: alive, reset when asked for, and no kexec where none may be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.records import Copy
from support.runtime_records import (
    CONTAINED,
    FAULT,
    MIXED,
    THROUGH_BIOS,
    called,
    red,
)
from support.verdicts import check_of
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]


@pytest.mark.parametrize(
    "fields",
    [
        {"fork": "11"},
        {"memory": "12"},
        {"disk": "5"},
        {"returned": "no", "at": "disk", "state": "D"},
        {"stuck": "31 (kworker/0:1),"},
    ],
)
def test_a_machine_that_is_not_alive(copy_of: CopyOf, told: Told, fields: dict[str, str]) -> None:
    copy = copy_of(CONTAINED).change({"fields": fields}, type="frame", kind="alive", epoch=2)
    red(told(copy.judge()), "alive", Cause.NOT_ALIVE)


def test_a_caller_that_waits_for_firmware_is_no_other_stuck_task(copy_of: CopyOf) -> None:
    copy = called(copy_of(CONTAINED), FAULT, returned="no", state="D", pid="99")
    copy.change({"fields": {"stuck": "99 (hruntime),"}}, type="frame", kind="alive", epoch=2)
    assert check_of(copy.judge(), "alive").status is Status.PASS


def test_another_page_than_the_disks_is_not_alive(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(CONTAINED)
    body = str(copy.only(type="frame", kind="alive", epoch=2)["body_file"])
    (copy.path / body).write_bytes(b"x" * 100)
    red(told(copy.judge()), "alive", Cause.NOT_ALIVE, "100")


def test_a_look_without_an_answer_proves_nothing(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(CONTAINED).drop(type="frame", kind="alive", epoch=2)
    red(told(copy.judge()), "alive", Cause.MISSING_REPORT, status=Status.ERROR)


def test_a_machine_without_a_disk_proves_nothing(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(CONTAINED).change({"fields": {"disk": "absent"}}, type="frame", kind="alive", epoch=2)
    red(told(copy.judge()), "alive", Cause.SETUP_NOT_PROVED, status=Status.ERROR)


def test_a_machine_that_was_not_reset(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(CONTAINED).drop(type="event", name="SHUTDOWN")
    red(told(copy.judge()), "reboot", Cause.REBOOT_FAILED)


def test_a_poweroff_is_no_reset(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(CONTAINED).change({"data": '{"reason": "guest-shutdown"}'}, type="event", name="SHUTDOWN")
    red(told(copy.judge()), "reboot", Cause.REBOOT_FAILED)


def test_a_load_that_is_accepted(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(MIXED).change({"fields": {"rc": "0"}}, type="frame", kind="tried")
    red(told(copy.judge()), "kexec_refused", Cause.KEXEC_ACCEPTED)


def test_a_load_that_fails_otherwise_proves_nothing(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(MIXED).change({"fields": {"rc": "2"}}, type="frame", kind="tried")
    red(told(copy.judge()), "kexec_refused", Cause.SETUP_NOT_PROVED, "ENOEXEC", status=Status.ERROR)


def test_a_load_that_was_not_tried_proves_nothing(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(MIXED).drop(type="frame", kind="tried")
    red(told(copy.judge()), "kexec_refused", Cause.MISSING_REPORT, status=Status.ERROR)


def test_reboot_through_bios_is_what_a_faulting_reset_comes_to(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of(THROUGH_BIOS).judge()
    assert verdict.status is Status.PASS
    told(check_of(verdict, "reboot"))


def test_a_reset_that_does_not_come_back_through_firmware(copy_of: CopyOf) -> None:
    copy = copy_of(THROUGH_BIOS)
    entries = copy.entries
    last = max(place for place, entry in enumerate(entries) if entry.get("kind") == "ready")
    copy.entries = entries[:last] + entries[last + 1 :]
    assert check_of(copy.judge(), "reboot").cause is Cause.REBOOT_FAILED
