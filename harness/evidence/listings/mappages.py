"""Listings that are no EFI maps, made ready to be asked for as one: in whole pages, and devices told from memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.evidence.listings.entries import LogEntry
from harness.evidence.maps.efimap import CONVENTIONAL, RESERVED, EfiRegion
from harness.evidence.ranges import PAGE_BYTES, Range, align_up

_FOUR_GIB = 2**32
_UNCACHED = 1
_MMIO = 11


def whole_pages(entries: Sequence[LogEntry]) -> tuple[tuple[LogEntry, ...], tuple[LogEntry, ...]]:
    """The entries in whole pages, and those of which nothing is left.

    EFI maps have nothing but whole pages. Of e820 tables and /proc/iomem a page that two entries share is the one's
    that is not free, or the lower one's: no kernel may take it. Neighbours of one kind are one entry first, for such
    tables are split at any byte (setup_data). Entries inside another do not count.
    """
    if all(_whole(entry.region.range) for entry in entries if entry.depth == 0):
        return guessed([entry for entry in entries if entry.depth == 0]), ()
    ordered = sorted((entry for entry in entries if entry.depth == 0), key=lambda item: item.region.range)
    kept: list[LogEntry] = []
    dropped: list[LogEntry] = []
    for entry in _merged(ordered):
        where = entry.region.range
        if entry.region.type == CONVENTIONAL:
            where = _range(align_up(where.start, PAGE_BYTES), where.end - where.end % PAGE_BYTES)
        else:
            where = where.pages
        if kept and kept[-1].region.range.end > where.start:
            where = _share(kept, where)
        if where == entry.region.range:
            kept.append(entry)
        elif where.size_bytes:
            kept.append(replace(_moved(entry, where), words=f"{entry.words} (in whole pages)"))
        else:
            dropped.append(entry)
    return guessed(kept), tuple(dropped)


def guessed(entries: Sequence[LogEntry]) -> tuple[LogEntry, ...]:
    """Reserved entries without attributes, as far as they must be devices, marked as such.

    What is reserved and goes on where RAM ends is memory that firmware keeps. What lies above it, behind a gap, below
    4 GiB and at the very top, is a device: the configuration space of PCI, an interrupt controller, flash.
    """
    if all(entry.attributes_known for entry in entries):
        return tuple(entries)
    tops = [_top(entries, Range(0, _FOUR_GIB)), _top(entries, Range(_FOUR_GIB, 1 << 64))]
    return tuple(
        replace(entry, region=replace(entry.region, attributes=_UNCACHED))
        if _unsure(entry) and entry.region.range.start >= tops[entry.region.range.start >= _FOUR_GIB]
        else entry
        for entry in entries
    )


def _top(entries: Sequence[LogEntry], zone: Range) -> int:
    """Where RAM and what is reserved at its end have ended."""
    inside = sorted((item for item in entries if zone.contains(item.region.range.start)), key=lambda i: i.region.range)
    ends = [item.region.range.end for item in inside if item.region.type not in (RESERVED, _MMIO)]
    top = max(ends, default=zone.start)
    for item in inside:
        if item.region.range.start == top and _unsure(item):
            top = item.region.range.end
    return top


def _unsure(entry: LogEntry) -> bool:
    return entry.region.type == RESERVED and not entry.attributes_known


def _whole(where: Range) -> bool:
    return where == where.pages


def _range(start: int, end: int) -> Range:
    return Range(start, max(start, end))


def _merged(entries: Sequence[LogEntry]) -> list[LogEntry]:
    found: list[LogEntry] = []
    for entry in entries:
        last = found[-1] if found else None
        if last is not None and last.words == entry.words and last.region.range.end == entry.region.range.start:
            found[-1] = _moved(last, Range(last.region.range.start, entry.region.range.end))
        else:
            found.append(entry)
    return found


def _share(kept: list[LogEntry], where: Range) -> Range:
    """Two entries want one page: free memory gives way, else the lower one has it."""
    last = kept[-1].region
    if last.type == CONVENTIONAL and last.range.start < where.start:
        kept[-1] = _moved(kept[-1], Range(last.range.start, where.start))
        return where
    return _range(max(where.start, last.range.end), where.end)


def _moved(entry: LogEntry, where: Range) -> LogEntry:
    region = entry.region
    return replace(entry, region=EfiRegion(region.type, where, region.attributes))
