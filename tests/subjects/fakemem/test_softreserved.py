"""Soft Reserved memory by efi_fake_mem=."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.records import Copy
from support.verdicts import check_of
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
GOOD, TWIN, KEPT = "fake-mem-small", "fake-mem-small-twin", "fake-mem-kept"


def scenario_with(copy: Copy, **values: object) -> Copy:
    return copy.edit_json("plan.json", scenario={**copy.json("plan.json")["scenario"], **values})


def test_what_is_kept_and_what_is_exact(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(KEPT)
    verdict = copy.judge()
    assert (verdict.status, verdict.cause, verdict.epoch) == (Status.FAIL, Cause.SOFT_RESERVED_LOST, 2)
    told(verdict)
    assert "0x180000000-0x1bfffffff" in verdict.headline
    assert "0x180000000-0x1bfffffff" in check_of(verdict, "soft_reserved").evidence[0].text
    exact = scenario_with(copy, expect=[{"fake_mem": "exact"}, {"soft_reserved": "exact"}]).judge()
    assert exact.status is Status.PASS
    told(check_of(exact, "fake_mem"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "1a0000000-1bfffffff : Soft Reserved",
            "1a0000000-1bfffffff : System RAM",
        ),
        ("1a0000000-1bfffffff : Soft", "1a0000000-1b0000fff : Soft"),
        ("180000000-19fffffff : Soft", "170000000-19fffffff : Soft"),
        (
            "180000000-19fffffff : Soft Reserved\n1a0000000-1bfffffff : Soft Reserved",
            "180000000-1bfffffff : Soft Reserved",
        ),
    ],
)
def test_soft_reserved_that_is_not_exact(copy_of: CopyOf, told: Told, old: str, new: str) -> None:
    copy = copy_of(GOOD)
    verdict = copy.edit(copy.fact_file(1, "iomem"), old, new).judge()
    assert (verdict.status, verdict.cause, verdict.epoch) == (Status.FAIL, Cause.SOFT_RESERVED_MISMATCH, 1)
    told(verdict)


def test_without_iomem_nothing_is_known(copy_of: CopyOf) -> None:
    verdict = copy_of(GOOD).drop(type="frame", kind="fact", name="iomem").judge()
    assert check_of(verdict, "soft_reserved").cause is Cause.MISSING_REPORT
