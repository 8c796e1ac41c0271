from __future__ import annotations

import pytest
from support.pagetable_records import LOGBOOK_AT, MEMATTR, MEMATTR_AT, Made, changed, code_page, logbook_page, looked
from support.recorded_tables import KERNELS, recorded
from support.words import Told

from harness.evidence.pagetable import pagetables
from harness.evidence.pagetable import walk as paging
from harness.evidence.pagetable.pagetables import Capture
from harness.evidence.pagetable.walk import GLOBAL, NX, WRITABLE, Leaf
from harness.judge.judge import judge
from harness.model.causes import Cause, Status
from harness.model.record import CommandEntry, FrameEntry, Point, SampleEntry
from harness.model.verdict import Check
from harness.model.words.pagetables import EfiPages
from harness.subjects.pagetables.pages import check_page_tables

NAME = KERNELS[1]
LEVELS = list(EfiPages)


def checked(made: Made, level: EfiPages = EfiPages.NO_GLOBAL) -> Check:
    return check_page_tables(made.observations, level)


def said(check: Check) -> str:
    return "\n".join([check.summary, *(item.text for item in check.evidence)])


def unproved(check: Check, *values: str) -> None:
    assert (check.status, check.cause) == (Status.ERROR, Cause.SETUP_NOT_PROVED)
    assert [value for value in values if value not in check.summary] == []


def data_page(capture: Capture) -> Leaf:
    """A page of firmware's data in the EFI window."""
    leaves = capture.leaves()
    assert isinstance(leaves, tuple)
    return next(leaf for leaf in leaves if leaf.nx and leaf.start > 2**63)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("level", LEVELS)
def test_real_tables_hold_every_rule(name: str, told: Told, level: EfiPages) -> None:
    check = checked(looked(name, level), level)
    assert check.status is Status.PASS
    assert ("5-level" if "5level" in name else "4-level") in check.summary
    told(check)
    assert "1815" in check.summary
    told(check)
    assert "1815" in said(check)


def test_the_verdict_of_a_run_is_this_check() -> None:
    made = looked(NAME, "no-global", dump=False)
    capture, _ = recorded(NAME)
    spoiled = looked(
        NAME, "no-global", captures={1: changed(capture, data_page(capture).tables[-1], GLOBAL)}, dump=False
    )
    assert any(check.name == "efi_page_tables: no-global" for check in judge(made.record).checks)
    verdict = judge(spoiled.record)
    assert (verdict.status, verdict.cause, verdict.epoch) == (Status.FAIL, Cause.EFI_PAGE_GLOBAL, 1)


@pytest.mark.parametrize("half", ["1:1", "window"])
def test_one_global_page_is_a_fail_that_names_it(half: str, told: Told) -> None:
    capture, _ = recorded(NAME)
    page = code_page(capture)
    if half == "1:1":
        low = capture.leaves([capture.ranges[0]])
        assert isinstance(low, tuple)
        page = next(leaf for leaf in low if leaf.physical == page.physical)
    made = looked(NAME, "no-global", captures={1: changed(capture, page.tables[-1], GLOBAL)}, dump=False)
    check = checked(made)
    assert (check.status, check.cause, check.epoch) == (Status.FAIL, Cause.EFI_PAGE_GLOBAL, 1)
    told(check)
    assert "1815" in check.summary
    assert str(page.range) in check.summary
    assert f"{page.range} -> {page.physical:#x} ro x GLB" in check.evidence[0].text
    assert "RuntimeServicesCode" in check.evidence[0].text
    assert checked(made, EfiPages.WX_FREE).status is Status.PASS


def test_the_epoch_after_a_kexec_is_looked_at_too() -> None:
    capture, _ = recorded(NAME)
    spoiled = {2: changed(capture, data_page(capture).tables[-1], GLOBAL)}
    check = checked(looked(NAME, "no-global", epochs=2, captures=spoiled, dump=False))
    assert (check.status, check.epoch) == (Status.FAIL, 2)
    good = checked(looked(NAME, "no-global", epochs=2))
    assert (good.status, good.summary.count("1815 pages")) == (Status.PASS, 2)


def writable_code(capture: Capture) -> Capture:
    return changed(capture, code_page(capture).tables[-1], WRITABLE)


def test_a_page_that_is_writable_and_executable_is_a_fail(told: Told) -> None:
    capture, _ = recorded(NAME)
    made = looked(NAME, "wx-free", captures={1: writable_code(capture)}, dump=False)
    check = checked(made, EfiPages.WX_FREE)
    assert (check.status, check.cause, check.epoch) == (Status.FAIL, Cause.EFI_PAGE_WX, 1)
    assert f"{code_page(capture).range} -> {code_page(capture).physical:#x} RW x" in said(check)
    told(check)
    assert checked(made).status is Status.PASS
    executable = changed(capture, data_page(capture).tables[-1], NX)
    assert (
        checked(looked(NAME, "wx-free", captures={1: executable}, dump=False), EfiPages.WX_FREE).cause
        is Cause.EFI_PAGE_WX
    )


def test_many_wrong_pages_are_shown_as_few_ranges(told: Told) -> None:
    capture, _ = recorded(NAME)
    leaves = capture.leaves()
    assert isinstance(leaves, tuple)
    spoiled = capture
    for leaf in leaves:
        spoiled = changed(spoiled, leaf.tables[-1], GLOBAL)
    check = checked(looked(NAME, "no-global", captures={1: spoiled}, dump=False))
    told(check)
    assert "1815" in check.summary
    assert len(check.evidence) < 12
    told(check)


def test_after_kexec_the_call_is_named_and_what_the_kernel_said_of_the_table(told: Told) -> None:
    capture, _ = recorded(NAME)
    made = looked(NAME, "wx-free", epochs=2, captures={2: writable_code(capture)}, dump=False)
    check = checked(made, EfiPages.WX_FREE)
    assert (check.status, check.epoch) == (Status.FAIL, 2)
    assert check.summary.endswith(", after kexec (file)")
    dropped = made.files["console.log"].replace(b"MEMATTR=0x3e1f8000", b"MEMATTR=0xffffffffffffffff")
    made.files["console.log"] = dropped
    told(checked(made, EfiPages.WX_FREE))
    made.files["console.log"] = dropped.replace(b"MEMATTR", b"Memattr")
    told(checked(made, EfiPages.WX_FREE))


# What would have to be proved, and is not: never a PASS, and never the kernel's fault.


def test_a_step_that_never_was_proves_nothing(told: Told) -> None:
    made = looked(NAME, "no-global")
    made.drop(lambda entry: isinstance(entry, CommandEntry))
    unproved(told(checked(made)))


def test_a_guest_that_did_not_answer_is_a_missing_report() -> None:
    made = looked(NAME, "no-global")
    made.drop(lambda entry: isinstance(entry, FrameEntry) and entry.kind == "page-tables")
    assert (checked(made).status, checked(made).cause) == (Status.ERROR, Cause.MISSING_REPORT)


def replaced(made: Made, fields: dict[str, str], body: bytes = b"") -> Made:
    made.drop(lambda entry: isinstance(entry, FrameEntry) and entry.kind == "page-tables")
    made.frame(1, "page-tables", fields, body)
    return made


def test_a_kernel_without_runtime_services_is_unsupported() -> None:
    check = checked(replaced(looked(NAME, "no-global"), {"runtime": "absent"}))
    assert (check.status, check.cause) == (Status.UNSUPPORTED, Cause.NO_CAPABILITY)
    assert "efi=noruntime" in check.hint


def test_a_call_that_failed_proves_nothing(told: Told) -> None:
    made = replaced(looked(NAME, "no-global"), {"runtime": "present", "rc": "1"}, b"write error: Invalid argument\n")
    unproved(told(checked(made)))


@pytest.mark.parametrize("subject", ["logbook", "page-tables"])
def test_what_was_not_sampled_proves_nothing(subject: str, told: Told) -> None:
    made = looked(NAME, "no-global")
    made.drop(lambda entry: isinstance(entry, SampleEntry) and entry.subject == subject)
    unproved(told(checked(made)))


def with_sample(made: Made, subject: str, data: bytes) -> Made:
    """Other bytes in the place of a sample of epoch 1."""
    mine = [entry for entry in made.entries if isinstance(entry, SampleEntry) and entry.epoch == 1]
    place = made.entries.index(next(entry for entry in mine if entry.subject == subject))
    made.sample(1, Point.CALLED if subject != "memattr" else Point.UP, subject, LOGBOOK_AT, data)
    made.entries[place] = made.entries.pop()
    return made


def test_the_logbook_counts_that_was_read_with_the_tables(told: Told) -> None:
    """A later step of the epoch, such as a call with a fault, reads it again: on other tables, or for another run."""
    made = looked(NAME, "no-global")
    original, _ = recorded(NAME)
    assert checked(made).status is Status.PASS
    made.sample(1, Point.CALLED, "logbook", LOGBOOK_AT, logbook_page(original, hooked=False))
    assert checked(made).status is Status.PASS
    unproved(told(checked(with_sample(made, "logbook", logbook_page(original, hooked=False)))), "SetVariable")


@pytest.mark.parametrize(
    "changes",
    [
        {"calls": 0},
        {"hooked": False},
        {"nonce": "12345678"},
        {"offset": -(2**47)},
        {"offset": 0x4000_0000},
        {"offset": -(2**20)},
    ],
)
def test_a_logbook_that_tells_of_another_call_proves_nothing(changes: dict[str, int], told: Told) -> None:
    capture, _ = recorded(NAME)
    made = looked(NAME, "no-global")
    unproved(told(checked(with_sample(made, "logbook", logbook_page(capture, **changes)))))  # type: ignore[arg-type]


def test_a_damaged_logbook_proves_nothing(told: Told) -> None:
    unproved(told(checked(with_sample(looked(NAME, "no-global"), "logbook", bytes(4096)))))


def test_tables_that_the_call_did_not_run_on_prove_nothing(told: Told) -> None:
    capture, _ = recorded(NAME)
    elsewhere = 0x7000_0000
    other = Capture(elsewhere, capture.cr4, {**capture.pages, elsewhere: capture.pages[capture.cr3]})
    made = with_sample(looked(NAME, "no-global"), "page-tables", pagetables.encode(other))
    unproved(told(checked(made)), f"{elsewhere:#x}", f"{capture.cr3:#x}")


def test_tables_that_lead_elsewhere_prove_nothing(told: Told) -> None:
    capture, _ = recorded(NAME)
    page = code_page(capture)
    elsewhere = changed(capture, page.tables[-1], 1 << 20)
    made = with_sample(looked(NAME, "no-global", dump=False), "page-tables", pagetables.encode(elsewhere))
    unproved(told(checked(made)))


def test_a_capture_that_lacks_a_table_proves_nothing(told: Told) -> None:
    capture, _ = recorded(NAME)
    gone = code_page(capture).tables[-1] & ~4095
    cut = Capture(capture.cr3, capture.cr4, {at: page for at, page in capture.pages.items() if at != gone})
    made = with_sample(looked(NAME, "no-global"), "page-tables", pagetables.encode(cut))
    unproved(told(checked(made)), f"{gone:#x}")
    unproved(told(checked(with_sample(made, "page-tables", pagetables.encode(capture)[:-1]))))


def test_reserved_bits_prove_nothing(told: Told) -> None:
    capture, _ = recorded(NAME)
    leaves = capture.leaves()
    assert isinstance(leaves, tuple)
    large = next(leaf for leaf in leaves if leaf.level == 2)
    spoiled = changed(capture, large.tables[-1], 1 << 13)
    unproved(told(checked(looked(NAME, "no-global", captures={1: spoiled}, dump=False))))


def test_two_views_that_differ_prove_nothing(told: Told) -> None:
    capture, text = recorded(NAME)
    made = looked(NAME, "no-global", captures={1: changed(capture, data_page(capture).tables[-1], GLOBAL)})
    check = checked(made)
    unproved(told(check))
    told(check)
    assert "GLB" in said(check)
    made = replaced(looked(NAME, "no-global"), {"runtime": "present", "rc": "0"}, text[:-30].encode())
    unproved(told(checked(made)))


def test_without_debugfs_only_both_views_is_unsupported(told: Told) -> None:
    made = looked(NAME, "both-views", dump=False)
    check = checked(made, EfiPages.BOTH_VIEWS)
    assert (check.status, check.cause) == (Status.UNSUPPORTED, Cause.NO_CAPABILITY)
    other = checked(made)
    assert other.status is Status.PASS
    told(other)
    assert "page_tables/efi" in said(other)


def test_without_a_memattr_table_firmware_code_may_be_both(told: Told) -> None:
    made = looked(NAME, "wx-free", dump=False)
    made.drop(lambda entry: isinstance(entry, FrameEntry) and entry.kind == "systab")
    unproved(told(checked(made, EfiPages.WX_FREE)))


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_memattr_table_that_nobody_sampled_proves_nothing(epoch: int, told: Told) -> None:
    made = looked(NAME, "wx-free")
    made.drop(lambda it: isinstance(it, SampleEntry) and (it.subject, it.epoch) == ("memattr", epoch))
    unproved(told(checked(made, EfiPages.WX_FREE)))


def test_a_memattr_table_that_was_damaged_proves_nothing_about_the_mappings(told: Told) -> None:
    made = with_sample(looked(NAME, "wx-free"), "memattr", bytes(len(MEMATTR)))
    unproved(told(checked(made, EfiPages.WX_FREE)), f"{MEMATTR_AT:#x}")


def test_the_rules_look_at_rights_of_all_levels() -> None:
    # A writable, executable page under a table that is NX is not executable.
    capture, _ = recorded(NAME)
    page = code_page(capture)
    spoiled = changed(writable_code(capture), page.tables[-2], NX)
    leaf = paging.translate(spoiled.read, spoiled.cr3, page.start, la57=False)
    assert isinstance(leaf, paging.Translation)
    assert (leaf.leaf.writable, leaf.leaf.nx) == (True, True)
    check = checked(looked(NAME, "wx-free", captures={1: spoiled}, dump=False), EfiPages.WX_FREE)
    assert check.status is Status.PASS


def test_five_levels_in_spite_of_no5lvl_prove_nothing(told: Told) -> None:
    four, five = (looked(name, "no-global") for name in (KERNELS[1], KERNELS[2]))
    for made in (four, five):
        epoch = made.plan.epochs[0].model_copy(update={"cmdline": "quiet no5lvl x"})
        made.plan = made.plan.model_copy(update={"epochs": (epoch,)})
    assert checked(four).status is Status.PASS
    unproved(told(checked(five)))
