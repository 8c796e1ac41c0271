"""A map with more entries than can be asked for: what is alike is joined, and each join is told."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.model.words.memorymap import RangeType

_CODE_OF = {RangeType.LOADER_DATA: RangeType.LOADER_CODE, RangeType.BOOT_SERVICES_DATA: RangeType.BOOT_SERVICES_CODE}
_FREE = RangeType.CONVENTIONAL


@dataclass(frozen=True)
class Piece:
    """Part of a map, placed in the guest."""

    at: int
    size: int
    type: RangeType
    numbers: tuple[int, ...]
    """Of the entries that it is made of."""
    note: str
    was_at: int
    """Where it began in the map that it comes from; of a joined one, where its lowest part did."""
    mixed: tuple[tuple[RangeType, int], ...] = ()
    """The types and bytes that were joined to it; empty when none were."""

    @property
    def end(self) -> int:
        return self.at + self.size


Alike = Callable[[RangeType], object]
_STAGES: tuple[Alike, ...] = (
    lambda kind: kind,
    # Code and data of one owner alternate in small pieces.
    lambda kind: _CODE_OF.get(kind, kind),
    # All of it is RAM once boot services have ended.
    lambda kind: kind if kind.kept else None,
)


def joined(pieces: Sequence[Piece], limit: int) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """At most ``limit`` pieces, sorted, and what had to be left out for that.

    Nothing is changed when there are few enough. Else neighbours that touch are joined, the smallest first, and no
    more than needed: first those of one type, then code with data of one owner, then whatever the kernel has as RAM in
    the end. The larger one's type counts; of two as large as each other the one that is not free. What is still too
    much is left out: free memory first, for that is what a guest has where nothing is asked for, then the smallest.
    """
    left = sorted(pieces, key=lambda item: item.at)
    for alike in _STAGES:
        if len(left) <= limit:
            return tuple(left), ()
        left = _stage(left, limit, alike)
    out = sorted(left, key=lambda item: (item.type is not _FREE, item.size))[: max(0, len(left) - limit)]
    gone = {item.at for item in out}
    return tuple(item for item in left if item.at not in gone), tuple(sorted(out, key=lambda item: item.at))


def _stage(pieces: Sequence[Piece], limit: int, alike: Alike) -> list[Piece]:
    """A heap of sizes and a list linked both ways: n log n."""
    now, there = list(pieces), [True] * len(pieces)
    before = [index - 1 for index in range(len(pieces))]
    after = [*range(1, len(pieces)), -1]
    heap = [(piece.size, index) for index, piece in enumerate(pieces)]
    heapq.heapify(heap)
    count = len(pieces)
    while heap and count > limit:
        size, index = heapq.heappop(heap)
        if not there[index] or now[index].size != size:
            continue  # joined or grown since
        partners = [at for at in (before[index], after[index]) if at >= 0 and _joins(now[at], now[index], alike)]
        if not partners:
            continue
        low, high = sorted((index, min(partners, key=lambda at: now[at].size)))
        now[low], there[high] = _join(now[low], now[high]), False
        after[low] = after[high]
        if after[low] >= 0:
            before[after[low]] = low
        count -= 1
        heapq.heappush(heap, (now[low].size, low))
    return [piece for piece, left in zip(now, there, strict=True) if left]


def _joins(one: Piece, other: Piece, alike: Alike) -> bool:
    return (one.end == other.at or other.end == one.at) and alike(one.type) == alike(other.type)


def _join(low: Piece, high: Piece) -> Piece:
    sizes: Counter[RangeType] = Counter()
    for piece in (low, high):
        for kind, size in piece.mixed or ((piece.type, piece.size),):
            sizes[kind] += size
    return Piece(
        at=low.at,
        size=low.size + high.size,
        type=max(sizes, key=lambda kind: (sizes[kind], kind is not _FREE)),
        numbers=(*low.numbers, *high.numbers),
        note="",
        was_at=low.was_at,
        mixed=tuple(sorted(sizes.items())),
    )


def told(piece: Piece) -> str:
    """What a joined piece is made of: ``mem03-mem07+mem09 joined, was at 0x5000, 0x3000 of boot-services-data in it``.

    As in any note of the import, the name ends at the first comma and what was changed follows.
    """
    text = f"{numbers_text(piece.numbers)} joined"
    if piece.was_at != piece.at:
        text += f", was at {piece.was_at:#x}"
    others = [f"{size:#x} of {kind}" for kind, size in piece.mixed if kind is not piece.type]
    return f"{text}, {' and '.join(others)} in it" if others else text


def numbers_text(numbers: Sequence[int]) -> str:
    """``mem00-mem03+mem05``"""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return "+".join(f"mem{first:02}" + (f"-mem{last:02}" if last > first else "") for first, last in runs)
