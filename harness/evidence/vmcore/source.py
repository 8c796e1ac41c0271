"""Random access to a dump's bytes, and what can be wrong with them."""

from __future__ import annotations

import heapq
import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from harness.evidence.defect import Defect
from harness.evidence.ranges import Range

Source = Callable[[int, int], bytes]
"""(offset, size in bytes) to those bytes; fewer, or none, where the data ends."""


class Fault(StrEnum):
    """What kind of defect a dump has; each is a cause of its own."""

    TRUNCATED = "truncated"
    """The file ends before what its own index promises."""
    INCOMPLETE = "incomplete"
    """Its writer says that it could not finish."""
    DAMAGED = "damaged"
    """It contradicts itself."""
    UNSUPPORTED = "unsupported"
    """It may be whole, but this reader does not know its format or compression."""


@dataclass(frozen=True)
class FileDefect(Defect):
    """A defect with its place in the file, in bytes from the file's start."""

    offset: int = 0
    fault: Fault = Fault.DAMAGED

    def __str__(self) -> str:
        return f"{self.text} (at offset {self.offset:#x})"


def damaged(offset: int, text: str) -> FileDefect:
    """The file contradicts itself at ``offset``."""
    return FileDefect(text, offset=offset, fault=Fault.DAMAGED)


def truncated(offset: int, text: str) -> FileDefect:
    """The file should go on at ``offset``."""
    return FileDefect(text, offset=offset, fault=Fault.TRUNCATED)


def unsupported(offset: int, text: str) -> FileDefect:
    """This reader cannot go on."""
    return FileDefect(text, offset=offset, fault=Fault.UNSUPPORTED)


def incomplete(offset: int, text: str) -> FileDefect:
    """The writer gave up, and said so at ``offset``."""
    return FileDefect(text, offset=offset, fault=Fault.INCOMPLETE)


def window(source: Source, size_bytes: int, window_bytes: int = 256 * 1024) -> Source:
    """A source for many small reads near each other: it keeps the last piece of ``window_bytes`` it read."""
    kept_at, kept = 0, b""

    def read(offset: int, size: int) -> bytes:
        nonlocal kept_at, kept
        if not kept_at <= offset or offset + size > kept_at + len(kept):
            kept_at, kept = offset, source(offset, min(max(window_bytes, size), max(0, size_bytes - offset)))
        return kept[offset - kept_at :][:size]

    return read


@dataclass(frozen=True)
class Extent:
    """The addresses ``range`` are held at ``offset`` of the file."""

    range: Range
    offset: int


class ExtentMap:
    """Where each address is held in a file. Where two extents overlap, the one given later counts."""

    def __init__(self, extents: Iterable[Extent]) -> None:
        self._starts: list[int] = []
        self._extents: list[Extent] = []
        for extent in _disjoint(list(extents)):
            self._starts.append(extent.range.start)
            self._extents.append(extent)

    def __iter__(self) -> Iterator[Extent]:
        return iter(self._extents)

    def at(self, address: int) -> Extent | None:
        """The extent that holds an address."""
        index = bisect_right(self._starts, address) - 1
        if index < 0 or not self._extents[index].range.contains(address):
            return None
        return self._extents[index]

    def next_start(self, address: int) -> int | None:
        """Where the first extent behind an address begins."""
        index = bisect_right(self._starts, address)
        return self._starts[index] if index < len(self._starts) else None

    def read(self, source: Source, address: int, size: int) -> bytes | None:
        """The bytes from ``address`` on; None when one of them is not held."""
        pieces = []
        while size > 0:
            extent = self.at(address)
            if extent is None:
                return None
            wanted = min(size, extent.range.end - address)
            piece = source(extent.offset + address - extent.range.start, wanted)
            if len(piece) != wanted:
                return None
            pieces.append(piece)
            address, size = address + wanted, size - wanted
        return b"".join(pieces)


def _disjoint(extents: list[Extent]) -> Iterator[Extent]:
    """Sorted by address, without overlaps: a sweep over all borders, with the extents that are open in a heap.

    n extents give at most 2n - 1, in O(n log n).
    """
    order = sorted(range(len(extents)), key=lambda number: extents[number].range.start)
    borders = sorted({place for extent in extents for place in (extent.range.start, extent.range.end)})
    latest: list[int] = []  # negative numbers of the open extents: the one given last comes first
    following = 0
    for start, end in itertools.pairwise(borders):
        while following < len(order) and extents[order[following]].range.start <= start:
            heapq.heappush(latest, -order[following])
            following += 1
        while latest and extents[-latest[0]].range.end <= start:
            heapq.heappop(latest)
        if latest:
            extent = extents[-latest[0]]
            yield Extent(Range(start, end), extent.offset + start - extent.range.start)
