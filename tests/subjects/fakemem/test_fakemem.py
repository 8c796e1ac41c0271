"""The EFI memory map after efi_fake_mem=, on real records, damaged: Linux 6.1, and its twin with the bug of 5.5."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.records import Copy
from support.verdicts import check_of
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
GOOD, TWIN, KEPT = "fake-mem-small", "fake-mem-small-twin", "fake-mem-kept"


def klog(copy: Copy, epoch: int = 1) -> str:
    return copy.fact_file(epoch, "klog")


def row(copy: Copy, start: str) -> str:
    """The line of the printed map with the descriptor at ``start``."""
    lines = copy.read(klog(copy)).splitlines(keepends=True)
    (found,) = [line for line in lines if "efi: mem" in line and f"range=[0x{start}" in line]
    return found


FIRST, SECOND = "0000000180000000", "00000001a0000000"


def test_the_twin_fails_and_names_the_range(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of(TWIN).judge()
    assert (verdict.status, verdict.cause, verdict.epoch) == (Status.FAIL, Cause.FAKE_MEM_MISMATCH, 1)
    told(verdict)
    assert "0x180000000-0x19fffffff" in verdict.headline
    assert "0x40000" in verdict.headline
    said = [item.text.partition(":")[0] for item in check_of(verdict, "fake_mem").evidence]
    assert said[:4] == ["missing attribute", "doubled coverage", "garbage", "missing split"]


def test_the_range_that_lost_its_attribute(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(GOOD)
    line = row(copy, SECOND)
    verdict = copy.edit(klog(copy), line, line.replace("|SP|", "|  |")).judge()
    assert (verdict.status, verdict.cause) == (Status.FAIL, Cause.FAKE_MEM_MISMATCH)
    told(verdict)
    assert "0x1a0000000-0x1bfffffff" in verdict.headline
    assert "0x40000" in verdict.headline
    number = copy.read(klog(copy)).splitlines().index(line.replace("|SP|", "|  |").rstrip("\n")) + 1
    assert check_of(verdict, "fake_mem").evidence[0].where == f"{klog(copy)}:{number}"


def test_an_attribute_that_nobody_asked_for(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(GOOD)
    line = row(copy, "0000000000100000")
    verdict = copy.edit(
        klog(copy), line, line.replace("[Conventional|   |  |  |  |  |", "[Conventional|   |  |  |  |SP|")
    ).judge()
    assert verdict.cause is Cause.FAKE_MEM_MISMATCH
    told(verdict)


def test_a_lost_range(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(GOOD)
    line = row(copy, FIRST)
    verdict = copy.edit(klog(copy), line, line.replace("000000019fffffff", "000000018fffffff")).judge()
    assert verdict.cause is Cause.FAKE_MEM_MISMATCH
    told(verdict)
    assert "0x190000000-0x19fffffff" in verdict.headline


@pytest.mark.parametrize("word", ["efi: mem05:", "range=["])
def test_a_map_with_a_missing_line_proves_nothing(copy_of: CopyOf, told: Told, word: str) -> None:
    copy = copy_of(GOOD)
    line = next(line for line in copy.read(klog(copy)).splitlines(keepends=True) if word in line)
    verdict = copy.edit(klog(copy), line, "").judge()
    assert (verdict.status, verdict.cause) == (Status.ERROR, Cause.MISSING_REPORT)
    told(verdict)


def test_without_the_kernels_report_its_console_is_read(copy_of: CopyOf) -> None:
    verdict = copy_of(GOOD).drop(type="frame", kind="fact", name="klog").judge()
    assert check_of(verdict, "fake_mem").status is Status.PASS
    assert check_of(verdict, "fake_mem").evidence[0].where.startswith("console.log:")


def test_without_the_firmwares_map_nothing_is_known(copy_of: CopyOf) -> None:
    verdict = copy_of(GOOD).drop(type="frame", kind="memmap").judge()
    assert check_of(verdict, "fake_mem").cause is Cause.MISSING_REPORT


def test_a_kernel_that_took_fewer_entries(copy_of: CopyOf, told: Told) -> None:
    """CONFIG_EFI_MAX_FAKE_MEM=1"""
    copy = copy_of(GOOD)
    lines = copy.read(klog(copy)).splitlines(keepends=True)
    taken = [line for line in lines if "efi_fake_mem: add" in line]
    verdict = copy.edit(klog(copy), taken[1], "[    0.000000] Malformed early option 'efi_fake_mem'\n").judge()
    assert (verdict.status, verdict.cause) == (Status.UNSUPPORTED, Cause.NO_CAPABILITY)
    told(verdict)
    assert "efi_fake_mem" in verdict.headline


def test_a_kernel_that_said_nothing_or_something_else(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(GOOD)
    text = copy.read(klog(copy))
    silent = copy.edit(klog(copy), "efi_fake_mem: add", "efi_fake_mem: had").judge()
    assert check_of(silent, "fake_mem").cause is Cause.MISSING_REPORT
    (copy.path / klog(copy)).write_text(text.replace("attr=0x0000000000040000", "attr=0x0000000000004000"))
    verdict = copy.judge()
    assert (verdict.status, verdict.cause) == (Status.FAIL, Cause.FAKE_MEM_MISMATCH)
    told(verdict)
    assert "efi_fake_mem" in verdict.headline
    assert "0x4000" in verdict.headline


def scenario_with(copy: Copy, **values: object) -> Copy:
    return copy.edit_json("plan.json", scenario={**copy.json("plan.json")["scenario"], **values})


def test_a_map_that_did_not_grow_into_a_page_proves_nothing_about_that(copy_of: CopyOf) -> None:
    copy = scenario_with(copy_of(GOOD), expect=[{"fake_mem": "exact-over-a-page"}])
    verdict = copy.judge()
    assert (verdict.status, verdict.cause) == (Status.ERROR, Cause.NO_PAGE_CROSSING)
