"""The levels of page tables of each kernel."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.records import Copy
from support.verdicts import verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED
LEVELS = "seams-five-levels"
"""Three kernels by kexec_file_load, two CPUs; the second has no5lvl."""


@pytest.fixture
def levels(copy_of: CopyOf) -> Copy:
    return copy_of(LEVELS)


def test_the_levels_are_as_wanted(levels: Copy) -> None:
    verdict = levels.judge()
    assert (verdict.status, verdict.headline) == (Status.PASS, "the kernels ran on 5, 4, 5 levels")


def control(copy: Copy, epoch: int, *, levels: int, cpu: int) -> None:
    cr4 = list(copy.only(type="control", epoch=epoch)["cr4"])
    cr4[cpu] = cr4[cpu] | 1 << 12 if levels == 5 else cr4[cpu] & ~(1 << 12)
    copy.change({"cr4": cr4}, type="control", epoch=epoch)


@pytest.mark.parametrize(("epoch", "cpu", "wanted"), [(2, 0, 4), (2, 1, 4), (3, 0, 5), (3, 1, 5)])
def test_a_cpu_on_other_levels(levels: Copy, told: Told, epoch: int, cpu: int, wanted: int) -> None:
    control(levels, epoch, levels=9 - wanted, cpu=cpu)
    verdict_is(told(levels.judge()), FAIL, Cause.PAGING_LEVELS, epoch)


def test_a_kernel_that_says_otherwise(levels: Copy, told: Told) -> None:
    levels.edit(levels.fact_file(3, "processors"), " la57", "")
    verdict_is(told(levels.judge()), FAIL, Cause.PAGING_LEVELS, 3)


def test_a_machine_without_five_levels(levels: Copy, told: Told) -> None:
    for cpu in (0, 1):
        control(levels, 1, levels=4, cpu=cpu)
    levels.edit(levels.fact_file(1, "processors"), " la57", "")
    verdict_is(told(levels.judge()), UNSUPPORTED, Cause.NO_CAPABILITY, 1)


def test_cr4_was_not_read(levels: Copy, told: Told) -> None:
    levels.drop(type="control", epoch=2)
    verdict_is(told(levels.judge()), ERROR, Cause.MISSING_REPORT, 2, "/proc/cpuinfo")


def test_a_kernel_that_cannot_read_the_page_tables_of_the_one_before(copy_of: CopyOf, told: Told) -> None:
    """A real run, from 6.12 on five levels to 5.10, which is built for four: RSI in autopsy.json has bit 58."""
    copy = copy_of("seams-five-to-four-older")
    assert copy.json("autopsy.json")["cpus"][0]["cpu"]["general"]["rsi"] >> 58 == 1
    verdict_is(told(copy.judge()), FAIL, Cause.TRIPLE_FAULT, 2)
