"""Every rule about runtime services goes red on real records that were spoilt in one place."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable

import pytest
from support.records import Copy

from harness.model.causes import Cause, Status
from harness.model.verdict import Check, KnownIssue, Verdict
from harness.model.words.driver import Fault, Service

CONTAINED, RESET, SILENT = "runtime-contained", "runtime-reset-6.1", "runtime-silent-twin"
UNCOVERED, MIXED = "runtime-uncovered-6.1", "mixed-mode-kexec"
INTERRUPTS, WEDGED, THROUGH_BIOS = "runtime-interrupts-off", "runtime-wedged-7.3", "runtime-reset-5.10"
CopyOf = Callable[[str], Copy]
FIELDS = ("hooked", "armed", "calls", "runtime_calls", "returns", "faults", "survived", "last_fault", "fault_address")
_SERVICES_AT, _SERVICE_BYTES = 0x200, 0x100


def logbooks(copy: Copy) -> list[str]:
    """The files of the samples of the driver's logbook, in order."""
    return [entry["file"] for entry in copy.entries if entry.get("subject") == "driver-logbook"]


def write(copy: Copy, file: str, offset: int, value: int) -> Copy:
    """Put a number into a logbook, as if it had been there when it was sampled."""
    path = copy.path / file
    data = bytearray(path.read_bytes())
    before = bytes(data)
    struct.pack_into("<Q", data, offset, value)
    assert bytes(data) != before
    path.write_bytes(data)
    return copy.change({"sha256": hashlib.sha256(data).hexdigest()}, type="sample", file=file)


def counted(copy: Copy, place: int, name: str, value: int, service: Service = Service.SET_VARIABLE) -> Copy:
    offset = _SERVICES_AT + service.number * _SERVICE_BYTES + 8 * FIELDS.index(name)
    return write(copy, logbooks(copy)[place], offset, value)


def called(copy: Copy, number: int, **fields: str) -> Copy:
    """Change the guest's answer to a runtime step, counted from 0."""
    entries = copy.entries
    answers = [entry for entry in entries if entry.get("kind") == "called"]
    answers[number]["fields"].update(fields)
    copy.entries = entries
    return copy


def said_by_kernel(copy: Copy, number: int) -> str:
    """The file of the kernel's messages of a runtime step."""
    return str([entry for entry in copy.entries if entry.get("kind") == "called"][number]["body_file"])


def check(verdict: Verdict, name: str) -> Check:
    return next(check for check in verdict.checks if check.name == name)


def red(verdict: Verdict, name: str, cause: Cause, text: str, status: Status = Status.FAIL) -> None:
    found = check(verdict, name)
    assert (found.status, found.cause) == (status, cause), found
    assert text in found.summary
    assert (verdict.status, verdict.cause) == (status, cause)


# The fault of the record: the second runtime step, logbooks 2 (before) and 3 (after)
FAULT, FAULT_BEFORE, FAULT_AFTER = 1, 2, 3


def test_the_record_is_as_it_should_be(copy_of: CopyOf) -> None:
    verdict = copy_of(CONTAINED).judge()
    assert verdict.status is Status.PASS
    assert check(verdict, "runtime_fault").summary == (
        "contained: read-boot-services-data in set-variable; 2 later calls refused without firmware"
    )
    assert check(verdict, "alive").summary.startswith("alive at 3 looks")


def test_another_address_is_misreported(copy_of: CopyOf) -> None:
    copy = copy_of(CONTAINED)
    copy.edit(said_by_kernel(copy, FAULT), "at PA: 0x17210000", "at PA: 0x17210008")
    red(
        copy.judge(),
        "runtime_fault",
        Cause.RUNTIME_FAULT_MISREPORTED,
        "reports 0x17210008, firmware touched 0x17210000",
    )


def test_a_fault_that_is_not_named_is_misreported(copy_of: CopyOf) -> None:
    copy = copy_of(CONTAINED)
    copy.edit(said_by_kernel(copy, FAULT), "Page fault caused by firmware", "Something")
    red(copy.judge(), "runtime_fault", Cause.RUNTIME_FAULT_MISREPORTED, "does not name firmware's page fault")


@pytest.mark.parametrize("errno", ["0", "22"])
def test_a_call_that_hides_its_fault_is_misreported(copy_of: CopyOf, errno: str) -> None:
    verdict = called(copy_of(CONTAINED), FAULT, errno=errno).judge()
    red(verdict, "runtime_fault", Cause.RUNTIME_FAULT_MISREPORTED, f"came back with errno {errno}")


def test_an_access_that_is_let_through_is_silent(copy_of: CopyOf) -> None:
    copy = counted(copy_of(CONTAINED), FAULT_AFTER, "survived", 1)
    red(copy.judge(), "runtime_fault", Cause.RUNTIME_FAULT_SILENT, "let firmware at 0x17210000 and noticed nothing")


def test_services_that_stay_on_are_not_disabled(copy_of: CopyOf) -> None:
    copy = copy_of(CONTAINED)
    copy.edit(said_by_kernel(copy, FAULT), "efi: Froze efi_rts_wq", "efi: Hello")
    red(copy.judge(), "runtime_fault", Cause.RUNTIME_NOT_DISABLED, "did not say that it disabled")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"errno": "0"}, "errno 0, not EIO"),
        ({"errno": "4"}, "errno 4, not EIO"),
        ({"returned": "no", "state": "D"}, "the caller waits (state D)"),
    ],
)
def test_a_later_call_must_be_refused(copy_of: CopyOf, fields: dict[str, str], text: str) -> None:
    verdict = called(copy_of(CONTAINED), FAULT + 1, **fields).judge()
    red(verdict, "runtime_fault", Cause.RUNTIME_NOT_DISABLED, text)


def test_a_later_call_must_not_reach_firmware(copy_of: CopyOf) -> None:
    copy = counted(copy_of(CONTAINED), 5, "runtime_calls", 77)
    red(copy.judge(), "runtime_fault", Cause.RUNTIME_NOT_DISABLED, "called firmware again")


def test_a_caller_that_waits_hangs(copy_of: CopyOf) -> None:
    verdict = called(copy_of(CONTAINED), FAULT, returned="no", state="D", pid="99").judge()
    red(verdict, "runtime_fault", Cause.RUNTIME_FAULT_HANG, "the caller still waits after 20 s (state D)")


def test_a_caller_that_is_killed_is_fatal(copy_of: CopyOf) -> None:
    verdict = called(copy_of(CONTAINED), FAULT, returned="killed").judge()
    red(verdict, "runtime_fault", Cause.RUNTIME_FAULT_FATAL, "the task that called was killed")


def test_an_oops_is_fatal(copy_of: CopyOf) -> None:
    copy = copy_of(CONTAINED)
    oops = "end\n[    9.000000] BUG: unable to handle page fault for address: 0000000017210000"
    copy.edit(said_by_kernel(copy, FAULT), "---[ end trace 0000000000000000 ]---", oops)
    red(copy.judge(), "runtime_fault", Cause.RUNTIME_FAULT_FATAL, "is fatal: BUG: unable to handle")


@pytest.mark.parametrize(
    ("name", "value"), [("faults", 0), ("last_fault", Fault.WRITE_CONVENTIONAL.number), ("last_fault", 0)]
)
def test_a_fault_that_firmware_did_not_commit_proves_nothing(copy_of: CopyOf, name: str, value: int) -> None:
    verdict = counted(copy_of(CONTAINED), FAULT_AFTER, name, value).judge()
    red(verdict, "runtime_fault", Cause.SETUP_NOT_PROVED, "shows no such fault", Status.ERROR)


def test_a_logbook_that_is_gone_proves_nothing(copy_of: CopyOf) -> None:
    copy = copy_of(CONTAINED)
    file = logbooks(copy)[FAULT_AFTER]
    verdict = write(copy, file, 0, 0).judge()
    red(verdict, "runtime_fault", Cause.SETUP_NOT_PROVED, "the driver's logbook begins with 0000", Status.ERROR)


def test_a_kernel_without_efi_variables_is_unsupported(copy_of: CopyOf) -> None:
    copy = copy_of(CONTAINED)
    for number in range(4):
        called(copy, number, runtime="absent")
    verdict = copy.judge()
    red(verdict, "runtime_fault", Cause.NO_CAPABILITY, "offers no EFI variables in epoch 1", Status.UNSUPPORTED)
    assert check(verdict, "runtime_services").status is Status.UNSUPPORTED


# Services that must work


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"errno": "5"}, "errno 5 at write"),
        ({"errno": "1000", "done": "3"}, "after 3 round trips another value was read"),
        ({"returned": "no", "state": "D"}, "did not come back (state D)"),
    ],
)
def test_a_call_without_fault_must_work(copy_of: CopyOf, fields: dict[str, str], text: str) -> None:
    red(called(copy_of(CONTAINED), 0, **fields).judge(), "runtime_services", Cause.RUNTIME_CALL_FAILED, text)


def test_a_call_must_reach_the_hook(copy_of: CopyOf) -> None:
    copy = copy_of(CONTAINED)
    before = struct.unpack_from("<Q", (copy.path / logbooks(copy)[0]).read_bytes(), _SERVICES_AT + 24)[0]
    verdict = counted(copy, 1, "runtime_calls", before).judge()
    red(verdict, "runtime_services", Cause.RUNTIME_CALL_FAILED, "the driver's hook saw 0 calls, 1 were made")


def test_a_call_must_come_back_from_firmware(copy_of: CopyOf) -> None:
    verdict = counted(copy_of(CONTAINED), 1, "returns", 0).judge()
    red(verdict, "runtime_services", Cause.RUNTIME_CALL_FAILED, "did not come back from firmware")


# The driver


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("hook get-time 0x3f65f959 0x3f6557fd", "hook get-time 0x3f65f959 0x3f65f959", "get-time is not hooked"),
        ("hook reset-system", "nothing reset-system", "reset-system is not hooked"),
    ],
)
def test_a_hook_that_is_not_there_proves_nothing(copy_of: CopyOf, old: str, new: str, text: str) -> None:
    copy = copy_of(CONTAINED)
    copy.edit(str(copy.only(type="frame", kind="runtime", epoch=0)["body_file"]), old, new)
    red(copy.judge(), "runtime driver", Cause.SETUP_NOT_PROVED, text, Status.ERROR)


def test_another_treatment_of_memattr_proves_nothing(copy_of: CopyOf) -> None:
    copy = copy_of(CONTAINED).change({"fields": {"memattr": "drop"}}, type="frame", kind="runtime")
    red(copy.judge(), "runtime driver", Cause.SETUP_NOT_PROVED, "handled as drop, planned was correct", Status.ERROR)


def test_a_driver_that_was_not_reported_proves_nothing(copy_of: CopyOf) -> None:
    copy = copy_of(CONTAINED).drop(type="frame", kind="runtime")
    red(copy.judge(), "runtime driver", Cause.SETUP_NOT_PROVED, "did not report it", Status.ERROR)


def test_a_logbook_of_another_run_proves_nothing(copy_of: CopyOf) -> None:
    copy = copy_of(CONTAINED)
    write(copy, logbooks(copy)[0], 0x18, 0x12345678)
    red(copy.judge(), "runtime driver", Cause.SETUP_NOT_PROVED, "another run (12345678)", Status.ERROR)


# Alive, reset


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"fork": "11"}, "fork failed with errno 11"),
        ({"memory": "12"}, "memory failed with errno 12"),
        ({"disk": "5"}, "disk failed with errno 5"),
        ({"returned": "no", "at": "disk", "state": "D"}, "it stopped at disk (state D)"),
        ({"stuck": "31 (kworker/0:1),"}, "stuck in an uninterruptible wait: 31 (kworker/0:1)"),
    ],
)
def test_a_machine_that_is_not_alive(copy_of: CopyOf, fields: dict[str, str], text: str) -> None:
    copy = copy_of(CONTAINED).change({"fields": fields}, type="frame", kind="alive", epoch=2)
    red(copy.judge(), "alive", Cause.NOT_ALIVE, text)


def test_a_caller_that_waits_for_firmware_is_no_other_stuck_task(copy_of: CopyOf) -> None:
    copy = called(copy_of(CONTAINED), FAULT, returned="no", state="D", pid="99")
    copy.change({"fields": {"stuck": "99 (hruntime),"}}, type="frame", kind="alive", epoch=2)
    assert check(copy.judge(), "alive").status is Status.PASS


def test_another_page_than_the_disks_is_not_alive(copy_of: CopyOf) -> None:
    copy = copy_of(CONTAINED)
    body = str(copy.only(type="frame", kind="alive", epoch=2)["body_file"])
    (copy.path / body).write_bytes(b"x" * 100)
    red(copy.judge(), "alive", Cause.NOT_ALIVE, "100 bytes were read from the disk")


def test_a_look_without_an_answer_proves_nothing(copy_of: CopyOf) -> None:
    copy = copy_of(CONTAINED).drop(type="frame", kind="alive", epoch=2)
    red(copy.judge(), "alive", Cause.MISSING_REPORT, "answered 2 of 3 looks", Status.ERROR)


def test_a_machine_without_a_disk_proves_nothing(copy_of: CopyOf) -> None:
    copy = copy_of(CONTAINED).change({"fields": {"disk": "absent"}}, type="frame", kind="alive", epoch=2)
    red(copy.judge(), "alive", Cause.SETUP_NOT_PROVED, "no disk to read from", Status.ERROR)


def test_a_machine_that_was_not_reset(copy_of: CopyOf) -> None:
    copy = copy_of(CONTAINED).drop(type="event", name="SHUTDOWN")
    red(copy.judge(), "reboot", Cause.REBOOT_FAILED, "the machine was not reset")


def test_a_poweroff_is_no_reset(copy_of: CopyOf) -> None:
    copy = copy_of(CONTAINED).change({"data": '{"reason": "guest-shutdown"}'}, type="event", name="SHUTDOWN")
    red(copy.judge(), "reboot", Cause.REBOOT_FAILED, "the machine was not reset")


# A fault in ResetSystem that the kernel (6.1) does not survive


def test_an_oops_in_reset_is_fatal(copy_of: CopyOf) -> None:
    verdict = copy_of(RESET).judge()
    red(verdict, "runtime_fault", Cause.RUNTIME_FAULT_FATAL, "reset-system with fault read-conventional is fatal")
    assert check(verdict, "reboot").cause is Cause.REBOOT_FAILED


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


def test_a_reset_without_a_word_is_misreported(copy_of: CopyOf) -> None:
    """As if the access had been a fault, the kernel silent, and the machine reset all the same."""
    copy = copy_of(RESET).edit_json("end.json", kind="complete", detail="every step was done")
    copy.edit("console.log", "BUG: unable to handle", "bug: unable to handle").edit("console.log", "Oops: 0000", "oops")
    copy.edit("console.log", "kernel BUG at", "something at").edit("console.log", "invalid opcode:", "something:")
    (copy.path / "autopsy.json").unlink(missing_ok=True)
    found = check(copy.judge(), "runtime_fault")
    assert (found.status, found.cause) == (Status.FAIL, Cause.RUNTIME_FAULT_MISREPORTED)
    assert "did not name firmware's fault" in found.summary


# A twin that lets firmware at all memory


def test_the_silent_twin_is_caught(copy_of: CopyOf) -> None:
    verdict = copy_of(SILENT).judge()
    red(verdict, "runtime_fault", Cause.RUNTIME_FAULT_SILENT, "let firmware at 0x17210000 and noticed nothing")
    assert [check.name for check in verdict.checks if check.status is Status.FAIL] == ["runtime_fault"]


# A general protection fault, which nothing handles; 6.1 does not survive it


def test_a_machine_that_an_oops_takes_along_is_not_survived(copy_of: CopyOf) -> None:
    verdict = copy_of(UNCOVERED).judge()
    red(verdict, "runtime_fault", Cause.RUNTIME_FAULT_FATAL, "did not come back after general protection fault")


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


OOPS = """\
[   16.835678] general protection fault, probably for non-canonical address 0x8000000000000000: 0000 [#1] PREEMPT SMP
[   16.836243] CPU: 0 PID: 24 Comm: kworker/u2:1 Not tainted 6.1.0-56-cloud-amd64 #1  Debian 6.1.192-2
[   16.858515] RIP: 0010:0xfffffffeff255bd6
[   16.892971] ---[ end trace 0000000000000000 ]---
"""


def test_an_oops_that_names_firmware_is_survived(copy_of: CopyOf) -> None:
    found = check(survived(copy_of(UNCOVERED), OOPS).judge(), "runtime_fault")
    assert (found.status, found.summary) == (Status.PASS, "survived: non-canonical in set-variable")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("general protection fault", "divide error", "did not report this exception"),
        ("0xfffffffeff255bd6", "0xffffffff81000000", "does not name firmware's code as the place"),
    ],
)
def test_an_oops_must_name_exception_and_place(copy_of: CopyOf, old: str, new: str, text: str) -> None:
    found = check(survived(copy_of(UNCOVERED), OOPS.replace(old, new)).judge(), "runtime_fault")
    assert (found.status, found.cause) == (Status.FAIL, Cause.RUNTIME_FAULT_MISREPORTED)
    assert text in found.summary


def test_a_panic_is_not_survived(copy_of: CopyOf) -> None:
    panic = OOPS + "[   16.9] Kernel panic - not syncing: Fatal exception in interrupt\n".replace("16.9", "16.900000")
    found = check(survived(copy_of(UNCOVERED), panic).judge(), "runtime_fault")
    assert (found.status, found.cause) == (Status.FAIL, Cause.RUNTIME_FAULT_FATAL)


def test_an_oops_is_not_contained(copy_of: CopyOf) -> None:
    copy = survived(copy_of(UNCOVERED), OOPS)
    copy.edit("plan.json", '"runtime_fault": "survived"', '"runtime_fault": "contained"')
    found = check(copy.judge(), "runtime_fault")
    assert (found.status, found.cause) == (Status.FAIL, Cause.RUNTIME_FAULT_FATAL)


# 32-bit firmware


def test_mixed_mode_is_as_documented(copy_of: CopyOf) -> None:
    verdict = copy_of(MIXED).judge()
    assert verdict.status is Status.PASS
    assert check(verdict, "kexec_refused").summary == "refused: kexec_file_load flags=0x0: errno 8"
    assert check(verdict, "runtime_services").summary.endswith("none offered after kexec")
    assert check(verdict, "firmware_bits").summary.startswith("firmware of 32 bits: fw_platform_size 32, pointers")


def test_a_load_that_is_accepted(copy_of: CopyOf) -> None:
    copy = copy_of(MIXED).change({"fields": {"rc": "0"}}, type="frame", kind="tried")
    red(copy.judge(), "kexec_refused", Cause.KEXEC_ACCEPTED, "the kernel accepted a file load in epoch 1")


def test_a_load_that_fails_otherwise_proves_nothing(copy_of: CopyOf) -> None:
    copy = copy_of(MIXED).change({"fields": {"rc": "2"}}, type="frame", kind="tried")
    red(copy.judge(), "kexec_refused", Cause.SETUP_NOT_PROVED, "failed with 2, not with ENOEXEC", Status.ERROR)


def test_a_load_that_was_not_tried_proves_nothing(copy_of: CopyOf) -> None:
    copy = copy_of(MIXED).drop(type="frame", kind="tried")
    red(copy.judge(), "kexec_refused", Cause.MISSING_REPORT, "before the load was tried", Status.ERROR)


def test_services_after_a_kexec_in_mixed_mode(copy_of: CopyOf) -> None:
    copy = copy_of(MIXED).change({"fields": {"runtime": "present"}}, type="frame", kind="called", epoch=2)
    red(copy.judge(), "runtime_services", Cause.RUNTIME_CALL_FAILED, "a kexec in mixed mode should switch off")


@pytest.mark.parametrize("where", ["kernel", "driver"])
def test_another_word_size_proves_nothing(copy_of: CopyOf, where: str) -> None:
    copy = copy_of(MIXED)
    if where == "kernel":
        copy.change({"fields": {"platform_size": "64"}}, type="frame", kind="called", epoch=1)
    else:
        write(copy, logbooks(copy)[1], 0x48, 8)
    assert check(copy.judge(), "firmware_bits").cause is Cause.SETUP_NOT_PROVED


# Firmware that comes back with interrupts off: the kernel repairs it


def test_interrupts_off_is_repaired(copy_of: CopyOf) -> None:
    verdict = copy_of(INTERRUPTS).judge()
    assert (verdict.status, verdict.headline) == (Status.PASS, "contained: interrupts-off in set-variable")


def test_interrupts_off_that_nobody_notices_is_silent(copy_of: CopyOf) -> None:
    copy = copy_of(INTERRUPTS)
    copy.edit(said_by_kernel(copy, 0), "IRQ flags corrupted", "IRQ flags are fine")
    red(copy.judge(), "runtime_fault", Cause.RUNTIME_FAULT_SILENT, "did not notice that firmware left interrupts off")


def test_interrupts_off_is_no_error_of_the_call(copy_of: CopyOf) -> None:
    verdict = called(copy_of(INTERRUPTS), 0, errno="5").judge()
    red(verdict, "runtime_fault", Cause.RUNTIME_FAULT_MISREPORTED, "though firmware did what it was asked")


def test_interrupts_off_leaves_services_on(copy_of: CopyOf) -> None:
    verdict = called(copy_of(INTERRUPTS), 1, errno="5").judge()
    red(verdict, "runtime_fault", Cause.RUNTIME_CALL_FAILED, "though services are to stay on")


# Firmware that loops


def test_a_wedged_service_hangs(copy_of: CopyOf) -> None:
    verdict = copy_of(WEDGED).judge()
    text = "the caller still waits after 160 s (state D) while the machine goes on"
    red(verdict, "runtime_fault", Cause.RUNTIME_FAULT_HANG, text)
    assert check(verdict, "reboot").status is Status.PASS


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
    found = check(gave_up(copy_of(WEDGED)).judge(), "runtime_fault")
    assert (found.status, found.summary) == (
        *(Status.PASS,),
        "contained: loop in set-variable; 1 later call refused without firmware",
    )


def test_a_kernel_that_gives_up_must_say_so(copy_of: CopyOf) -> None:
    found = check(gave_up(copy_of(WEDGED), "efi: hello").judge(), "runtime_fault")
    assert (found.status, found.cause) == (Status.FAIL, Cause.RUNTIME_FAULT_MISREPORTED)


# 5.10: firmware runs again, without a reset


def test_reboot_through_bios_is_what_a_faulting_reset_comes_to(copy_of: CopyOf) -> None:
    verdict = copy_of(THROUGH_BIOS).judge()
    assert verdict.status is Status.PASS
    assert "the machine itself was not reset" in check(verdict, "reboot").summary


def test_another_address_than_the_faults_proves_nothing_of_a_reset(copy_of: CopyOf) -> None:
    """The logbook was overwritten by then: only the kernel's message ties the fault to what was armed."""
    copy = copy_of(THROUGH_BIOS).edit("console.log", "at PA: 0x17220000", "at PA: 0x17220008")
    found = check(copy.judge(), "runtime_fault")
    assert (found.status, found.cause) == (Status.ERROR, Cause.SETUP_NOT_PROVED)


def test_a_reset_that_does_not_come_back_through_firmware(copy_of: CopyOf) -> None:
    copy = copy_of(THROUGH_BIOS)
    entries = copy.entries
    last = max(place for place, entry in enumerate(entries) if entry.get("kind") == "ready")
    copy.entries = entries[:last] + entries[last + 1 :]
    assert check(copy.judge(), "reboot").cause is Cause.REBOOT_FAILED
