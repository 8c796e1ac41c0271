"""The crash region is where the kernel reserved it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.records import Copy
from support.verdicts import verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED
REGION = "seams-crash-region"
"""Three kernels; the second and the third with crashkernel= over setup_data of the first."""


@pytest.fixture
def region(copy_of: CopyOf) -> Copy:
    return copy_of(REGION)


def without_region(copy: Copy, epoch: int) -> None:
    path = copy.path / copy.fact_file(epoch, "iomem")
    lines = [line for line in path.read_text().splitlines(keepends=True) if "Crash kernel" not in line]
    path.write_text("".join(lines))


def test_the_region_is_there(region: Copy, told: Told) -> None:
    verdict = region.judge()
    assert verdict.status is Status.PASS
    told(verdict)
    assert "0x3501a018-0x3601a057" in verdict.headline


@pytest.mark.parametrize("epoch", [2, 3])
def test_the_region_vanishes(region: Copy, told: Told, epoch: int) -> None:
    without_region(region, epoch)
    verdict_is(
        told(region.judge()),
        FAIL,
        Cause.CRASH_REGION_LOST,
        epoch,
        "/proc/iomem",
        "0x33000000-0x3affffff",
    )


def test_the_region_is_elsewhere(region: Copy, told: Told) -> None:
    region.edit(region.fact_file(2, "iomem"), "33000000-3affffff : Crash kernel", "33000000-39ffffff : Crash kernel")
    verdict_is(told(region.judge()), FAIL, Cause.CRASH_REGION_LOST, 2, "0x33000000-0x39ffffff")


def test_a_fixed_place_that_is_taken_is_no_fault_of_the_kernel(region: Copy, told: Told) -> None:
    without_region(region, 2)
    region.print(2, "crashkernel reservation failed - memory is in use.")
    verdict_is(told(region.judge()), ERROR, Cause.SETUP_NOT_PROVED, 2)


def test_a_region_that_is_not_over_setup_data_proves_nothing(region: Copy, told: Told) -> None:
    for epoch in (2, 3):
        region.edit(region.fact_file(epoch, "iomem"), "33000000-3affffff : Crash", "23000000-2affffff : Crash")
    console = region.path / "console.log"
    console.write_bytes(console.read_bytes().replace(b"128MB of memory at 816MB", b"128MB of memory at 560MB"))
    verdict_is(told(region.judge()), ERROR, Cause.NO_OVERLAP, 2, "0x3501a018")


def test_iomem_is_not_reported(region: Copy, told: Told) -> None:
    region.drop(kind="fact", epoch=2, name="iomem")
    verdict_is(told(region.judge()), ERROR, Cause.MISSING_REPORT, 2, "/proc/iomem")
