"""The firmware's memory map as Linux keeps it: /sys/firmware/memmap and the table in boot_params."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence.defect import Defect
from harness.evidence.ranges import Range

SYSTEM_RAM = "System RAM"
_SETUP_DATA = 128
"""E820_TYPE_RESERVED_KERN, which kernels up to 7.2 give to the pages of setup_data."""
_ENTRY = struct.Struct("<QQI")
_COUNT_OFFSET = 0x1E8
_TABLE_OFFSET = 0x2D0
_MAX_ENTRIES = 128
_ROW = re.compile(r"0x(?P<start>[0-9a-f]+)-0x(?P<last>[0-9a-f]+)\s+(?P<type>\S.*)")
TYPE_NAMES = {
    1: SYSTEM_RAM,
    2: "Reserved",
    3: "ACPI Tables",
    4: "ACPI Non-volatile Storage",
    5: "Unusable memory",
    7: "Persistent Memory",
    12: "Persistent Memory (legacy)",
    _SETUP_DATA: SYSTEM_RAM,
    0xEFFFFFFF: "Soft Reserved",
}
"""e820 types in the words of e820_type_to_string() (arch/x86/kernel/e820.c), which sysfs shows."""


@dataclass(frozen=True)
class MemmapEntry:
    """``type_name`` in the words of /sys/firmware/memmap: ``System RAM``, ``Reserved``, ``ACPI Tables`` ..."""

    range: Range
    type_name: str


def parse_memmap(text: str) -> tuple[MemmapEntry, ...] | Defect | None:
    """The guest's ``memmap`` fact (/sys/firmware/memmap, ``0xSTART-0xEND TYPE``, END inclusive).

    kexec-tools takes the memory for kexec_load(2) from there. Sorted by address. None when the guest says ``absent``.
    """
    if text.strip() == "absent":
        return None
    entries: list[MemmapEntry] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        match = _ROW.fullmatch(line)
        if match is None or int(match["last"], 16) < int(match["start"], 16):
            return Defect(f"the memmap fact has a line of another form: {line!r}")
        entries.append(MemmapEntry(Range.inclusive(int(match["start"], 16), int(match["last"], 16)), match["type"]))
    if not entries:
        return Defect("the memmap fact is empty")
    return tuple(sorted(entries, key=lambda entry: entry.range))


def parse_boot_params(data: bytes) -> tuple[MemmapEntry, ...] | Defect:
    """The e820 table of a raw ``struct boot_params`` (the guest's ``boot-params`` fact), in its own order.

    Count at 0x1e8, entries of 20 bytes from 0x2d0 on (Documentation/arch/x86/zero-page.rst).
    """
    rows = _rows(data)
    if isinstance(rows, Defect):
        return rows
    return tuple(MemmapEntry(where, TYPE_NAMES.get(kind, f"type {kind:#x}")) for where, kind in rows)


def setup_data(data: bytes) -> tuple[Range, ...]:
    """The entries of that table that are setup_data of the kernel that made it; empty when it cannot be read.

    Each kernel finds setup_data of its own by the list that begins in boot_params: it is in no table it is given.
    """
    rows = _rows(data)
    return () if isinstance(rows, Defect) else tuple(where for where, kind in rows if kind == _SETUP_DATA)


def _rows(data: bytes) -> tuple[tuple[Range, int], ...] | Defect:
    """Range and type of each entry."""
    if len(data) < _TABLE_OFFSET + _MAX_ENTRIES * _ENTRY.size:
        return Defect(f"{len(data)} bytes are not a struct boot_params")
    count = data[_COUNT_OFFSET]
    if not 0 < count <= _MAX_ENTRIES:
        return Defect(f"boot_params claims {count} e820 entries; it has room for {_MAX_ENTRIES}")
    rows = _ENTRY.iter_unpack(data[_TABLE_OFFSET:][: count * _ENTRY.size])
    return tuple((Range.sized(start, size), kind) for start, size, kind in rows)


def at(entries: Sequence[MemmapEntry], where: Range) -> tuple[MemmapEntry, ...]:
    """The entries that share a byte with ``where``."""
    return tuple(entry for entry in entries if entry.range.overlaps(where))
