"""Where the kernel lies."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.records import Copy
from support.verdicts import verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
MADE = "placement-made-map"
TWIN = "placement-low-hole-twin"
FAIL, ERROR = Status.FAIL, Status.ERROR


def iomem(copy: Copy, epoch: int, old: str, new: str) -> Copy:
    return copy.edit(copy.fact_file(epoch, "iomem"), old, new)


def kernel_code(copy: Copy, epoch: int) -> str:
    return next(line for line in copy.read(copy.fact_file(epoch, "iomem")).splitlines() if "Kernel code" in line)


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_kernel_that_is_too_low(copy_of: CopyOf, told: Told, epoch: int) -> None:
    copy = copy_of(MADE)
    line = kernel_code(copy, epoch)
    verdict = iomem(copy, epoch, line, "  00fff000-02000000 : Kernel code").judge()
    verdict_is(told(verdict), FAIL, Cause.KERNEL_MISPLACED, epoch, "0xfff000", "0x1000000")


def test_a_kernel_over_what_is_occupied(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(MADE)
    line = kernel_code(copy, 1)
    verdict = iomem(copy, 1, line, "  18000000-19000000 : Kernel code").judge()
    verdict_is(told(verdict), FAIL, Cause.KERNEL_MISPLACED, 1, "ACPIMemoryNVS", "0x8000000-0x8003fff")


def test_a_kernel_that_does_not_say_where_it_is(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(MADE)
    text = copy.read(copy.fact_file(2, "iomem"))
    for line in text.splitlines():
        if "Kernel " in line:
            copy.edit(copy.fact_file(2, "iomem"), f"{line}\n", "")
    verdict_is(told(copy.judge()), ERROR, Cause.MISSING_REPORT, None, "/proc/iomem")


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_page_allocation_failure(copy_of: CopyOf, epoch: int) -> None:
    copy = copy_of(MADE)
    copy.print(epoch, "swapper/0: page allocation failure: order:10, mode:0xcc1(GFP_KERNEL|GFP_DMA), nodemask=(null)")
    verdict_is(copy.judge(), FAIL, Cause.PAGE_ALLOCATION_FAILED, epoch, "order:10")


def test_the_twin_is_below_16_mib(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of(TWIN).judge()
    verdict_is(told(verdict), FAIL, Cause.KERNEL_MISPLACED, 1, "0xa00000", "0x1000000")
