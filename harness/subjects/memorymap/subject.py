"""The row of the memory map that a kernel gets, and where it places itself in it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from harness.model.causes import Cause
from harness.model.words.memorymap import KernelPlaced
from harness.subjects.claims import Always, Rule, Subject
from harness.subjects.memorymap.made import check_memory_map
from harness.subjects.memorymap.occupied import check_occupied
from harness.subjects.memorymap.placed import check_allocations, check_placed


def _placed(item: KernelPlaced) -> Iterator[Rule]:
    yield "kernel_placed", partial(check_placed, where=item.kernel_placed)
    yield "kernel_placed: allocations", check_allocations


SUBJECT = Subject(
    name="memorymap",
    causes=(Cause.OCCUPIED_OVERWRITTEN, Cause.KERNEL_MISPLACED, Cause.PAGE_ALLOCATION_FAILED),
    expectations={KernelPlaced: _placed},
    always=(Always(30, "memory map", check_memory_map), Always(90, "occupied", check_occupied)),
    headline=("memory map", "occupied", "kernel_placed"),
)
