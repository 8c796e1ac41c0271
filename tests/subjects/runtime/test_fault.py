"""A fault of firmware in a runtime service: contained, survived, or neither."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.records import Copy
from support.runtime_records import (
    CONTAINED,
    FAULT,
    FAULT_AFTER,
    INTERRUPTS,
    RESET,
    SILENT,
    THROUGH_BIOS,
    UNCOVERED,
    WEDGED,
    called,
    counted,
    logbooks,
    red,
    said_by_kernel,
    write,
)
from support.verdicts import check_of
from support.words import Told

from harness.model.causes import Cause, Status
from harness.model.verdict import KnownIssue
from harness.model.words.driver import Fault

CopyOf = Callable[[str], Copy]


def test_the_record_is_as_it_should_be(copy_of: CopyOf) -> None:
    verdict = copy_of(CONTAINED).judge()
    assert verdict.status is Status.PASS
    assert check_of(verdict, "runtime_fault").summary == (
        "contained: read-boot-services-data in set-variable; 2 later calls refused without firmware"
    )
    assert check_of(verdict, "alive").summary.startswith("alive at 3 looks")


def test_another_address_is_misreported(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(CONTAINED)
    copy.edit(said_by_kernel(copy, FAULT), "at PA: 0x17210000", "at PA: 0x17210008")
    red(
        told(copy.judge()),
        "runtime_fault",
        Cause.RUNTIME_FAULT_MISREPORTED,
        "0x17210008",
        "0x17210000",
    )


def test_a_fault_that_is_not_named_is_misreported(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(CONTAINED)
    copy.edit(said_by_kernel(copy, FAULT), "Page fault caused by firmware", "Something")
    red(told(copy.judge()), "runtime_fault", Cause.RUNTIME_FAULT_MISREPORTED)


@pytest.mark.parametrize("errno", ["0", "22"])
def test_a_call_that_hides_its_fault_is_misreported(copy_of: CopyOf, told: Told, errno: str) -> None:
    verdict = called(copy_of(CONTAINED), FAULT, errno=errno).judge()
    red(told(verdict), "runtime_fault", Cause.RUNTIME_FAULT_MISREPORTED)


def test_an_access_that_is_let_through_is_silent(copy_of: CopyOf, told: Told) -> None:
    copy = counted(copy_of(CONTAINED), FAULT_AFTER, "survived", 1)
    red(told(copy.judge()), "runtime_fault", Cause.RUNTIME_FAULT_SILENT, "0x17210000")


def test_services_that_stay_on_are_not_disabled(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(CONTAINED)
    copy.edit(said_by_kernel(copy, FAULT), "efi: Froze efi_rts_wq", "efi: Hello")
    red(told(copy.judge()), "runtime_fault", Cause.RUNTIME_NOT_DISABLED)


@pytest.mark.parametrize(
    "fields",
    [
        {"errno": "0"},
        {"errno": "4"},
        {"returned": "no", "state": "D"},
    ],
)
def test_a_later_call_must_be_refused(copy_of: CopyOf, told: Told, fields: dict[str, str]) -> None:
    verdict = called(copy_of(CONTAINED), FAULT + 1, **fields).judge()
    red(told(verdict), "runtime_fault", Cause.RUNTIME_NOT_DISABLED)


def test_a_later_call_must_not_reach_firmware(copy_of: CopyOf, told: Told) -> None:
    copy = counted(copy_of(CONTAINED), 5, "runtime_calls", 77)
    red(told(copy.judge()), "runtime_fault", Cause.RUNTIME_NOT_DISABLED)


def test_a_caller_that_waits_hangs(copy_of: CopyOf, told: Told) -> None:
    verdict = called(copy_of(CONTAINED), FAULT, returned="no", state="D", pid="99").judge()
    red(told(verdict), "runtime_fault", Cause.RUNTIME_FAULT_HANG, "20")


def test_a_caller_that_is_killed_is_fatal(copy_of: CopyOf, told: Told) -> None:
    verdict = called(copy_of(CONTAINED), FAULT, returned="killed").judge()
    red(told(verdict), "runtime_fault", Cause.RUNTIME_FAULT_FATAL)


def test_an_oops_is_fatal(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(CONTAINED)
    oops = "end\n[    9.000000] BUG: unable to handle page fault for address: 0000000017210000"
    copy.edit(said_by_kernel(copy, FAULT), "---[ end trace 0000000000000000 ]---", oops)
    red(told(copy.judge()), "runtime_fault", Cause.RUNTIME_FAULT_FATAL)


@pytest.mark.parametrize(
    ("name", "value"), [("faults", 0), ("last_fault", Fault.WRITE_CONVENTIONAL.number), ("last_fault", 0)]
)
def test_a_fault_that_firmware_did_not_commit_proves_nothing(
    copy_of: CopyOf, told: Told, name: str, value: int
) -> None:
    verdict = counted(copy_of(CONTAINED), FAULT_AFTER, name, value).judge()
    red(told(verdict), "runtime_fault", Cause.SETUP_NOT_PROVED, status=Status.ERROR)


def test_a_logbook_that_is_gone_proves_nothing(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(CONTAINED)
    file = logbooks(copy)[FAULT_AFTER]
    verdict = write(copy, file, 0, 0).judge()
    red(told(verdict), "runtime_fault", Cause.SETUP_NOT_PROVED, "0000", status=Status.ERROR)


def test_a_kernel_without_efi_variables_is_unsupported(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(CONTAINED)
    for number in range(4):
        called(copy, number, runtime="absent")
    verdict = copy.judge()
    red(told(verdict), "runtime_fault", Cause.NO_CAPABILITY, status=Status.UNSUPPORTED)
    assert check_of(verdict, "runtime_services").status is Status.UNSUPPORTED


def test_an_oops_in_reset_is_fatal(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of(RESET).judge()
    red(told(verdict), "runtime_fault", Cause.RUNTIME_FAULT_FATAL)
    assert check_of(verdict, "reboot").cause is Cause.REBOOT_FAILED


def known() -> KnownIssue:
    return KnownIssue(
        scenario="runtime/fault-reset",
        kernel="debian-6.1-cloud",
        cause=Cause.RUNTIME_FAULT_FATAL,
        epoch=1,
        reason="the handler returns unless it runs on efi_rts_wq",
        reference="docs/findings.md",
    )


def test_a_known_fatal_fault_is_all_that_is_wrong(copy_of: CopyOf) -> None:
    verdict = copy_of(RESET).judge(known())
    assert verdict.known is not None
    assert verdict.as_expected


def test_a_known_fatal_fault_hides_nothing_else(copy_of: CopyOf) -> None:
    copy = copy_of(RESET).change({"fields": {"memory": "12"}}, type="frame", kind="alive")
    verdict = copy.judge(known())
    assert verdict.known is None
    assert "that is not all" in " ".join(verdict.notes)


def test_a_reset_without_a_word_is_misreported(copy_of: CopyOf, told: Told) -> None:
    """As if the access had been a fault, the kernel silent, and the machine reset all the same."""
    copy = copy_of(RESET).edit_json("end.json", kind="complete", detail="every step was done")
    copy.edit("console.log", "BUG: unable to handle", "bug: unable to handle").edit("console.log", "Oops: 0000", "oops")
    copy.edit("console.log", "kernel BUG at", "something at").edit("console.log", "invalid opcode:", "something:")
    (copy.path / "autopsy.json").unlink(missing_ok=True)
    found = check_of(copy.judge(), "runtime_fault")
    assert (found.status, found.cause) == (Status.FAIL, Cause.RUNTIME_FAULT_MISREPORTED)
    told(found)


def test_the_silent_twin_is_caught(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of(SILENT).judge()
    red(told(verdict), "runtime_fault", Cause.RUNTIME_FAULT_SILENT, "0x17210000")
    assert [check.name for check in verdict.checks if check.status is Status.FAIL] == ["runtime_fault"]


def test_a_machine_that_an_oops_takes_along_is_not_survived(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of(UNCOVERED).judge()
    red(told(verdict), "runtime_fault", Cause.RUNTIME_FAULT_FATAL)


def survived(copy: Copy, messages: str) -> Copy:
    """As if the caller had been left behind, and the machine had gone on."""
    copy.edit_json("end.json", kind="complete", detail="every step was done")
    (copy.path / "autopsy.json").unlink(missing_ok=True)
    (copy.path / "facts/999-1-called").write_text(messages, encoding="utf-8")
    last = copy.entries[-1]
    fields = {"runtime": "present", "returned": "no", "state": "D", "pid": "99", "errno": "0"}
    answer = {"type": "frame", "t_s": last["t_s"], "epoch": 1, "kind": "called", "fields": fields}
    copy.entries = [*copy.entries, {**answer, "body_file": "facts/999-1-called"}]
    return copy


FAULT_REPORT = """\
[   16.835678] general protection fault, probably for non-canonical address 0x8000000000000000: 0000 [#1] PREEMPT SMP
[   16.836243] CPU: 0 PID: 24 Comm: kworker/u2:1 Not tainted 6.1.0-56-cloud-amd64 #1  Debian 6.1.192-2
[   16.858515] RIP: 0010:0xfffffffeff255bd6
[   16.892971] ---[ end trace 0000000000000000 ]---
"""


def test_an_oops_that_names_firmware_is_survived(copy_of: CopyOf) -> None:
    found = check_of(survived(copy_of(UNCOVERED), FAULT_REPORT).judge(), "runtime_fault")
    assert (found.status, found.summary) == (Status.PASS, "survived: non-canonical in set-variable")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("general protection fault", "divide error"),
        ("0xfffffffeff255bd6", "0xffffffff81000000"),
    ],
)
def test_an_oops_must_name_exception_and_place(copy_of: CopyOf, told: Told, old: str, new: str) -> None:
    found = check_of(survived(copy_of(UNCOVERED), FAULT_REPORT.replace(old, new)).judge(), "runtime_fault")
    assert (found.status, found.cause) == (Status.FAIL, Cause.RUNTIME_FAULT_MISREPORTED)
    told(found)


def test_a_panic_is_not_survived(copy_of: CopyOf) -> None:
    panic = FAULT_REPORT + "[   16.9] Kernel panic - not syncing: Fatal exception in interrupt\n".replace(
        "16.9", "16.900000"
    )
    found = check_of(survived(copy_of(UNCOVERED), panic).judge(), "runtime_fault")
    assert (found.status, found.cause) == (Status.FAIL, Cause.RUNTIME_FAULT_FATAL)


def test_an_oops_is_not_contained(copy_of: CopyOf) -> None:
    copy = survived(copy_of(UNCOVERED), FAULT_REPORT)
    copy.edit("plan.json", '"runtime_fault": "survived"', '"runtime_fault": "contained"')
    found = check_of(copy.judge(), "runtime_fault")
    assert (found.status, found.cause) == (Status.FAIL, Cause.RUNTIME_FAULT_FATAL)


def test_interrupts_off_is_repaired(copy_of: CopyOf) -> None:
    verdict = copy_of(INTERRUPTS).judge()
    assert (verdict.status, verdict.headline) == (Status.PASS, "contained: interrupts-off in set-variable")


def test_interrupts_off_that_nobody_notices_is_silent(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(INTERRUPTS)
    copy.edit(said_by_kernel(copy, 0), "IRQ flags corrupted", "IRQ flags are fine")
    red(told(copy.judge()), "runtime_fault", Cause.RUNTIME_FAULT_SILENT)


def test_interrupts_off_is_no_error_of_the_call(copy_of: CopyOf, told: Told) -> None:
    verdict = called(copy_of(INTERRUPTS), 0, errno="5").judge()
    red(told(verdict), "runtime_fault", Cause.RUNTIME_FAULT_MISREPORTED)


def test_interrupts_off_leaves_services_on(copy_of: CopyOf, told: Told) -> None:
    verdict = called(copy_of(INTERRUPTS), 1, errno="5").judge()
    red(told(verdict), "runtime_fault", Cause.RUNTIME_CALL_FAILED)


def test_a_wedged_service_hangs(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of(WEDGED).judge()
    red(told(verdict), "runtime_fault", Cause.RUNTIME_FAULT_HANG)
    assert check_of(verdict, "reboot").status is Status.PASS


def gave_up(
    copy: Copy, said: str = "efi: EFI runtime service 3 wedged in firmware; disabling EFI runtime services"
) -> Copy:
    """As if the kernel had given up on firmware in time."""
    called(copy, 0, returned="yes", errno="5")
    called(copy, 1, returned="yes", errno="5")
    entries = copy.entries
    answer = next(entry for entry in entries if entry.get("kind") == "called")
    answer["body_file"] = "facts/999-1-called"
    copy.entries = entries
    (copy.path / "facts/999-1-called").write_text(f"[  130.000000] {said}\n", encoding="utf-8")
    return copy.change({"fields": {"stuck": ""}}, type="frame", kind="alive")


def test_a_kernel_that_gives_up_contains_it(copy_of: CopyOf) -> None:
    found = check_of(gave_up(copy_of(WEDGED)).judge(), "runtime_fault")
    assert (found.status, found.summary) == (
        *(Status.PASS,),
        "contained: loop in set-variable; 1 later call refused without firmware",
    )


def test_a_kernel_that_gives_up_must_say_so(copy_of: CopyOf) -> None:
    found = check_of(gave_up(copy_of(WEDGED), "efi: hello").judge(), "runtime_fault")
    assert (found.status, found.cause) == (Status.FAIL, Cause.RUNTIME_FAULT_MISREPORTED)


def test_another_address_than_the_faults_proves_nothing_of_a_reset(copy_of: CopyOf) -> None:
    """The logbook was overwritten by then: only the kernel's message ties the fault to what was armed."""
    copy = copy_of(THROUGH_BIOS).edit("console.log", "at PA: 0x17220000", "at PA: 0x17220008")
    found = check_of(copy.judge(), "runtime_fault")
    assert (found.status, found.cause) == (Status.ERROR, Cause.SETUP_NOT_PROVED)
