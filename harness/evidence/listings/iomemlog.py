"""Listings of /proc/iomem in logs, mails and files, whatever became of their indentation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.evidence.klog import Line
from harness.evidence.listings.entries import LogEntry, LogMap, MapKind, Remark
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.maps.iomem import SYSTEM_RAM
from harness.evidence.ranges import Range

# r_show(), kernel/resource.c: 8 digits or 16. /proc/ioports has 4.
_ROW = re.compile(r"^[\s>]*(?P<start>[0-9a-f]{8,16})-(?P<last>[0-9a-f]{8,16}) : (?P<name>\S.*)", re.IGNORECASE)
_MMIO = 11
_TYPES = {
    "system ram": 7,
    "soft reserved": 7,
    "reserved": 0,
    "acpi tables": 9,
    "acpi non-volatile storage": 10,
    "unusable memory": 8,
    "persistent memory": 14,
    "persistent memory (legacy)": 14,
}
"""e820_type_to_iores_desc() and the names beside it, by the EFI type that was there; every other row is a device."""
_RAM_ATTRIBUTES, _UNCACHED, _SPECIFIC_PURPOSE = 0xF, 1, 1 << 18
_Row = tuple[Range, str, int]


def iomem_listings(lines: Sequence[Line]) -> tuple[tuple[LogMap, ...], tuple[Remark, ...]]:
    """Every listing of a log, in order, and what is wrong with those that say nothing.

    A row inside another is known by its addresses, since indentation gets lost on the way. One that begins before the
    top-level row above it ends, but is not inside it, begins the next listing.
    """
    whole: list[LogMap] = []
    damaged: list[Remark] = []
    for rows in _listings(lines):
        line = rows[0][2]
        if all(where == Range(0, 1) for where, _, _ in rows):
            text = "the addresses in /proc/iomem are all zero: it was read without CAP_SYS_ADMIN"
            damaged.append(Remark(line, text))
        elif any(name.casefold() in _TYPES for _, name, _ in rows):
            whole.append(LogMap(MapKind.IOMEM, "/proc/iomem", line, tuple(_entries(rows))))
    return tuple(whole), tuple(damaged)


def _listings(lines: Sequence[Line]) -> Iterator[list[_Row]]:
    rows: list[_Row] = []
    top = Range(0, 0)
    for line in lines:
        match = _ROW.match(line.text)
        if match is None or int(match["last"], 16) < int(match["start"], 16):
            if line.text.strip(" >") and rows:
                yield rows
                rows = []
            continue
        where = Range.inclusive(int(match["start"], 16), int(match["last"], 16))
        if rows and not top.contains(where):
            if where.start < top.end and where != top:
                yield rows
                rows = []
            top = where
        elif not rows:
            top = where
        rows.append((where, match["name"].rstrip(), line.number))
    if rows:
        yield rows


def _entries(rows: Sequence[_Row]) -> Iterator[LogEntry]:
    above: list[Range] = []
    for number, (where, name, line) in enumerate(rows):
        while above and not above[-1].contains(where):
            above.pop()
        kind = _TYPES.get(name.casefold(), _MMIO)
        attributes = _UNCACHED if kind == _MMIO else _RAM_ATTRIBUTES
        if name.casefold() == "soft reserved":
            attributes |= _SPECIFIC_PURPOSE
        words = SYSTEM_RAM if name.casefold() == SYSTEM_RAM.casefold() else name
        yield LogEntry(
            number, EfiRegion(kind, where, attributes), line, words=words, depth=len(above), attributes_known=False
        )
        above.append(where)
