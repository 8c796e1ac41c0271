"""Does a dump hold what the guest's memory held? Compared with samples that were taken from outside."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from harness.evidence.ranges import PAGE_BYTES, Range
from harness.evidence.vmcore.dump import Dump
from harness.evidence.vmcore.source import FileDefect

_MAX_LISTED = 64


@dataclass(frozen=True)
class Lawful:
    """Physical bytes that may differ, and why. Made by :mod:`harness.evidence.vmcore.lawful`."""

    range: Range
    reason: str
    exact: bool = True
    """False for a large piece of memory of which only some bytes are known to change, for want of symbols."""


@dataclass(frozen=True)
class Difference:
    """A page that is not as it was sampled, outside of everything lawful."""

    address: int
    """Physical, of the first differing byte."""
    held: int
    sampled: int
    """That byte in the dump and in the sample."""
    count_bytes: int
    """How many bytes of the page differ and are not lawful."""

    def __str__(self) -> str:
        return f"{self.address:#x}: {self.held:#04x} in the dump, {self.sampled:#04x} before ({self.count_bytes} bytes)"


@dataclass(frozen=True)
class Comparison:
    """Counts of pages. ``compared`` is the sum of ``equal``, ``lawful_pages`` and ``different_pages``."""

    compared: int = 0
    equal: int = 0
    absent: int = 0
    """Left out by the dump's filter: inside its memory, but not in the file."""
    outside: int = 0
    """Not of the dump's memory: the capture kernel's own region, the first MiB, holes."""
    lawful: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """Reason to the number of pages with differing bytes of that reason; a page may have several."""
    lawful_pages: int = 0
    coarse_pages: int = 0
    """Of these, the pages that only a reason which is not exact makes lawful."""
    different_pages: int = 0
    different: tuple[Difference, ...] = ()
    """The first 64."""
    unreadable: tuple[FileDefect, ...] = ()
    """Pages that the dump has but cannot give; the first 64."""

    @property
    def passed(self) -> bool:
        """Was something compared, and is all of it as it should be?"""
        return self.compared > 0 and not self.different_pages and not self.unreadable


def compare(dump: Dump, samples: Iterable[tuple[int, bytes]], lawful: Sequence[Lawful] = ()) -> Comparison:
    """Compare memory sampled from outside with the dump, page by page.

    Args:
        samples: physical address and bytes, in any order, of any size; taken one by one, so that they may be read
            from a file while this goes on.
        lawful: what may differ. Only these bytes are allowed to, not their pages.
    """
    tally = _Tally(dump, lawful)
    for address, data in samples:
        at = 0
        while at < len(data):
            size = min(len(data) - at, PAGE_BYTES - (address + at) % PAGE_BYTES)
            tally.page(address + at, data[at : at + size])
            at += size
    return tally.result()


class _Tally:
    def __init__(self, dump: Dump, lawful: Sequence[Lawful]) -> None:
        self._dump = dump
        self._ranges = dump.ranges
        self._starts = [item.start for item in self._ranges]
        self._by_page: dict[int, list[Lawful]] = {}
        """Small ranges by page; large ones are looked at for each differing page."""
        self._large: list[Lawful] = []
        for item in lawful:
            pages = item.range.pages
            if pages.size_bytes > 16 * PAGE_BYTES:
                self._large.append(item)
                continue
            for pfn in range(pages.start // PAGE_BYTES, pages.end // PAGE_BYTES):
                self._by_page.setdefault(pfn, []).append(item)
        self._counts = dict.fromkeys(("compared", "equal", "absent", "outside", "lawful", "coarse", "different"), 0)
        self._reasons: dict[str, int] = {}
        self._different: list[Difference] = []
        self._unreadable: list[FileDefect] = []

    def page(self, address: int, sampled: bytes) -> None:
        """One page, or a part of one."""
        page = self._dump.page(address // PAGE_BYTES)
        if page is None:
            index = bisect_right(self._starts, address) - 1
            inside = index >= 0 and self._ranges[index].contains(address)
            self._counts["absent" if inside else "outside"] += 1
            return
        if isinstance(page, FileDefect):
            self._unreadable.append(page)
            return
        held = page[address % PAGE_BYTES :][: len(sampled)]
        self._counts["compared"] += 1
        if held == sampled:
            self._counts["equal"] += 1
        else:
            self._differing(address, held, sampled)

    def _differing(self, address: int, held: bytes, sampled: bytes) -> None:
        left = int.from_bytes(held, "little") ^ int.from_bytes(sampled, "little")
        coarse = False
        laws = self._by_page.get(address // PAGE_BYTES, [])
        for law in sorted([*laws, *self._large], key=lambda law: not law.exact):
            common = law.range.intersection(Range.sized(address, len(held)))
            if common is None:
                continue
            mask = ((1 << 8 * common.size_bytes) - 1) << 8 * (common.start - address)
            if left & mask:
                self._reasons[law.reason] = self._reasons.get(law.reason, 0) + 1
                left &= ~mask
                coarse |= not law.exact
        if not left:
            self._counts["lawful"] += 1
            self._counts["coarse"] += coarse
            return
        self._counts["different"] += 1
        if len(self._different) < _MAX_LISTED:
            first = ((left & -left).bit_length() - 1) // 8
            count = len(held) - left.to_bytes(len(held), "little").count(0)
            self._different.append(Difference(address + first, held[first], sampled[first], count))

    def result(self) -> Comparison:
        return Comparison(
            compared=self._counts["compared"],
            equal=self._counts["equal"],
            absent=self._counts["absent"],
            outside=self._counts["outside"],
            lawful=MappingProxyType(dict(sorted(self._reasons.items()))),
            lawful_pages=self._counts["lawful"],
            coarse_pages=self._counts["coarse"],
            different_pages=self._counts["different"],
            different=tuple(self._different),
            unreadable=tuple(self._unreadable[:_MAX_LISTED]),
        )
