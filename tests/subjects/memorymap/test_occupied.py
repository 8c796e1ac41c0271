"""What firmware occupies keeps its bytes."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from support.records import Copy
from support.verdicts import verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
MADE = "placement-made-map"
FAIL, ERROR = Status.FAIL, Status.ERROR


def damage(copy: Copy, subject: str, epoch: int, point: str, offset: int) -> Copy:
    """Flip a byte of one sample only: the same bytes are kept once, so it gets a file of its own."""
    first = copy.only(type="sample", subject=subject, epoch=epoch, point=point)["file"]
    file = f"samples/own-{epoch}-{point}.bin"
    shutil.copyfile(copy.path / first, copy.path / file)
    copy.change({"file": file}, type="sample", subject=subject, epoch=epoch, point=point)
    return copy.flip(file, offset)


@pytest.mark.parametrize("subject", ["memory-0x1000000", "memory-0x8000000", "memory-0x9000000", "memory-0x30000000"])
@pytest.mark.parametrize(("epoch", "point"), [(1, "up"), (1, "loaded"), (2, "up")])
@pytest.mark.parametrize("offset", [0, -1], ids=["first", "last"])
def test_a_byte_of_what_is_occupied(copy_of: CopyOf, subject: str, epoch: int, point: str, offset: int) -> None:
    verdict = damage(copy_of(MADE), subject, epoch, point, offset).judge()
    place = subject.removeprefix("memory-")
    verdict_is(verdict, FAIL, Cause.OCCUPIED_OVERWRITTEN, epoch, f"at {place}-", "0x1000")


@pytest.mark.parametrize(("epoch", "point"), [(1, "up"), (1, "loaded"), (2, "up")])
def test_a_range_that_was_not_sampled(copy_of: CopyOf, told: Told, epoch: int, point: str) -> None:
    copy = copy_of(MADE).drop(type="sample", subject="memory-0x8000000", epoch=epoch, point=point)
    verdict_is(told(copy.judge()), ERROR, Cause.MISSING_REPORT, None)
