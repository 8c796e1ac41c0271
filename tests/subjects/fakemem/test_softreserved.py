"""Soft Reserved memory by efi_fake_mem=."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.records import Copy
from support.verdicts import check_of

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]


GOOD, TWIN, KEPT = "fake-mem-small", "fake-mem-small-twin", "fake-mem-kept"


def scenario_with(copy: Copy, **values: object) -> Copy:
    return copy.edit_json("plan.json", scenario={**copy.json("plan.json")["scenario"], **values})


def test_what_is_kept_and_what_is_exact(copy_of: CopyOf) -> None:
    copy = copy_of(KEPT)
    verdict = copy.judge()
    assert (verdict.status, verdict.cause, verdict.epoch) == (Status.FAIL, Cause.SOFT_RESERVED_LOST, 2)
    assert "0x180000000-0x1bfffffff is not Soft Reserved in epoch 2, after kexec (file)" in verdict.headline
    assert "0x180000000-0x1bfffffff is System RAM" in check_of(verdict, "soft_reserved").evidence[0].text
    exact = scenario_with(copy, expect=[{"fake_mem": "exact"}, {"soft_reserved": "exact"}]).judge()
    assert exact.status is Status.PASS
    assert "computed from the runtime map of epoch 1" in str(check_of(exact, "fake_mem").evidence)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "1a0000000-1bfffffff : Soft Reserved",
            "1a0000000-1bfffffff : System RAM",
            "0x1a0000000-0x1bfffffff is missing",
        ),
        ("1a0000000-1bfffffff : Soft", "1a0000000-1b0000fff : Soft", "0x1b0001000-0x1bfffffff is missing"),
        ("180000000-19fffffff : Soft", "170000000-19fffffff : Soft", "0x170000000-0x17fffffff is too much"),
        (
            "180000000-19fffffff : Soft Reserved\n1a0000000-1bfffffff : Soft Reserved",
            "180000000-1bfffffff : Soft Reserved",
            "rows 0x180000000-0x1bfffffff instead of 0x180000000-0x19fffffff, 0x1a0000000-0x1bfffffff",
        ),
    ],
)
def test_soft_reserved_that_is_not_exact(copy_of: CopyOf, old: str, new: str, said: str) -> None:
    copy = copy_of(GOOD)
    verdict = copy.edit(copy.fact_file(1, "iomem"), old, new).judge()
    assert (verdict.status, verdict.cause, verdict.epoch) == (Status.FAIL, Cause.SOFT_RESERVED_MISMATCH, 1)
    assert said in verdict.headline


def test_without_iomem_nothing_is_known(copy_of: CopyOf) -> None:
    verdict = copy_of(GOOD).drop(type="frame", kind="fact", name="iomem").judge()
    assert check_of(verdict, "soft_reserved").cause is Cause.MISSING_REPORT
