"""Half-open ranges of guest-physical addresses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.model.page import PAGE_BYTES

__all__ = ["PAGE_BYTES", "Range", "align_down", "align_up", "merged", "without"]


def align_down(value: int, alignment: int) -> int:
    """``value`` rounded down to a multiple of ``alignment`` (any positive number)."""
    return value - value % alignment


def align_up(value: int, alignment: int) -> int:
    """``value`` rounded up to a multiple of ``alignment`` (any positive number)."""
    return -align_down(-value, alignment)


@dataclass(frozen=True, order=True)
class Range:
    """The bytes ``start <= address < end``; empty when both are equal.

    ``str()`` is the *inclusive* form that kernels and firmware print, ``0x3bfff000-0x3bffffff``, so that it can be
    searched for in a log.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"not a range: start {self.start:#x}, end {self.end:#x}")

    @classmethod
    def sized(cls, start: int, size_bytes: int) -> Range:
        """``size_bytes`` from ``start`` on."""
        return cls(start, start + size_bytes)

    @classmethod
    def inclusive(cls, start: int, last: int) -> Range:
        """From ``start`` to ``last``, both included, as kernels print them."""
        return cls(start, last + 1)

    @property
    def size_bytes(self) -> int:
        return self.end - self.start

    @property
    def last(self) -> int:
        """The last address inside; meaningless for an empty range."""
        return self.end - 1

    @property
    def pages(self) -> Range:
        """Widened to whole 4 KiB pages."""
        return Range(align_down(self.start, PAGE_BYTES), align_up(self.end, PAGE_BYTES))

    def overlaps(self, other: Range) -> bool:
        """Do they share at least one byte?"""
        return max(self.start, other.start) < min(self.end, other.end)

    def intersection(self, other: Range) -> Range | None:
        """The bytes in both, or None when there are none."""
        return Range(max(self.start, other.start), min(self.end, other.end)) if self.overlaps(other) else None

    def contains(self, other: Range | int) -> bool:
        """Does an address, or every byte of a range, lie inside? An empty range is never inside."""
        if isinstance(other, int):
            return self.start <= other < self.end
        return other.size_bytes > 0 and self.start <= other.start and other.end <= self.end

    def __str__(self) -> str:
        return f"{self.start:#x}-{self.last:#x}" if self.size_bytes else f"{self.start:#x} (empty)"


def merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Sorted, with overlapping and touching ranges joined and empty ones left out."""
    result: list[Range] = []
    for item in sorted(item for item in ranges if item.size_bytes):
        if result and item.start <= result[-1].end:
            result[-1] = Range(result[-1].start, max(result[-1].end, item.end))
        else:
            result.append(item)
    return tuple(result)


def without(ranges: Iterable[Range], others: Iterable[Range]) -> tuple[Range, ...]:
    """What is in ``ranges`` but not in ``others``; merged."""
    left: list[Range] = []
    taken = merged(others)
    for item in merged(ranges):
        start = item.start
        for other in taken:
            if other.overlaps(Range(start, item.end)):
                if start < other.start:
                    left.append(Range(start, other.start))
                start = min(other.end, item.end)
        if start < item.end:
            left.append(Range(start, item.end))
    return tuple(left)
