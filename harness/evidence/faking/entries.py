"""``efi_fake_mem=``: what the kernel makes of the parameter, and what its EFI memory map must then be.

Linux 4.4 to 6.10 with CONFIG_EFI_FAKE_MEMMAP; drivers/firmware/efi/fake_mem.c and x86_fake_mem.c. Each entry adds
attributes to a range of the firmware's map, and splits the descriptors that it only covers in part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

from harness.evidence.defect import Defect
from harness.evidence.maps.efimap import CONVENTIONAL, EfiRegion
from harness.evidence.ranges import PAGE_BYTES, Range

SPECIFIC_PURPOSE = 1 << 18
"""EFI_MEMORY_SP: the kernel makes such conventional memory ``Soft Reserved`` (CONFIG_EFI_SOFT_RESERVE)."""
_WORD = 1 << 64
# simple_strtoull() with base 0: as many digits as fit the prefix, none of them is 0 and not an error. After "0x" there
# must be a hexadecimal digit, else the "0" is octal and the "x" stays.
_NUMBER = re.compile(r"0[xX](?P<hex>[0-9a-fA-F]+)|(?P<octal>0[0-7]*)|(?P<decimal>[0-9]*)")
_SUFFIXES = "KMGTPE"
# The kernel takes "-" for "_" in the names of parameters (parameq(), kernel/params.c).
_PARAMETER = re.compile(r"efi[-_]fake[-_]mem=(?P<value>.*)")
_UNITS = ((1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))


@dataclass(frozen=True)
class FakeEntry:
    """One ``nn[KMG]@ss[KMG]:aa``: whole pages, not empty, below 2^64."""

    range: Range
    attributes: int

    def __str__(self) -> str:
        """As it is written on the command line, in the largest units that are exact."""
        return f"{_written(self.range.size_bytes)}@{_written(self.range.start)}:{self.attributes:#x}"


def parse_cmdline(cmdline: str) -> tuple[FakeEntry, ...] | Defect:
    """The entries of all ``efi_fake_mem=`` of a command line, as written, in their order; empty when it has none.

    A Defect for what the kernel refuses (all from there on is lost), and for an entry without a defined outcome: for
    one that is not whole pages efi_memmap_insert() returns before it has filled the new map, which is installed all
    the same (drivers/firmware/efi/memmap.c, arch/x86/platform/efi/memmap.c).
    """
    entries: list[FakeEntry] = []
    for word in cmdline.split():
        if word == "--":
            break
        match = _PARAMETER.fullmatch(word)
        if match is None:
            continue
        found = _parse_value(match["value"])
        if isinstance(found, Defect):
            return found
        entries += found
    return tuple(entries)


def cmdline_parameter(entries: Iterable[FakeEntry]) -> str:
    """The parameter that means these entries."""
    return "efi_fake_mem=" + ",".join(map(str, entries))


def apply(regions: Sequence[EfiRegion], entries: Sequence[FakeEntry]) -> tuple[EfiRegion, ...]:
    """The kernel's map: every descriptor is cut at each border of an entry inside it, in its place in the list, and
    each piece has its own attributes and those of all entries over it. The order of the entries does not matter.
    """
    return tuple(piece for region in regions for piece in _pieces(region, entries))


def attributes_over(where: Range, entries: Iterable[FakeEntry]) -> int:
    """What the entries add to a range that no border of theirs lies in."""
    return reduce(lambda bits, entry: bits | entry.attributes, _over(where, entries), 0)


def soft_reserved(regions: Sequence[EfiRegion], entries: Sequence[FakeEntry]) -> tuple[Range, ...]:
    """The conventional memory that the entries make ``Soft Reserved``: one range for each entry and descriptor, sorted.

    efi_fake_memmap_early() looks at the map that firmware gave, before any splits. The ranges of entries that overlap
    overlap too.
    """
    found = (
        entry.range.intersection(region.range)
        for entry in entries
        if entry.attributes & SPECIFIC_PURPOSE
        for region in regions
        if region.type == CONVENTIONAL
    )
    return tuple(sorted(where for where in found if where is not None))


def borders(entries: Iterable[FakeEntry]) -> frozenset[int]:
    """Where the entries begin and end."""
    return frozenset(address for entry in entries for address in (entry.range.start, entry.range.end))


def _over(where: Range, entries: Iterable[FakeEntry]) -> Iterator[FakeEntry]:
    return (entry for entry in entries if entry.range.overlaps(where))


def _inner_borders(where: Range, entries: Sequence[FakeEntry]) -> list[int]:
    return sorted(address for address in borders(_over(where, entries)) if where.start < address < where.end)


def _pieces(region: EfiRegion, entries: Sequence[FakeEntry]) -> Iterator[EfiRegion]:
    if not region.range.size_bytes:
        yield region
        return
    cuts = [region.range.start, *_inner_borders(region.range, entries), region.range.end]
    for start, end in pairwise(cuts):
        piece = Range(start, end)
        yield EfiRegion(region.type, piece, region.attributes | attributes_over(piece, entries))


def _parse_value(text: str) -> list[FakeEntry] | Defect:
    """setup_fake_mem(): size, ``@``, start, ``:``, attributes, and a comma where there is more."""
    entries: list[FakeEntry] = []
    at = 0
    while at < len(text):
        begin = at
        size_bytes, at = _memparse(text, at)
        if text[at : at + 1] != "@":
            return Defect(f"efi_fake_mem={text}: there is no '@' after the size at {text[begin:]!r}")
        start, at = _memparse(text, at + 1)
        if text[at : at + 1] != ":":
            return Defect(f"efi_fake_mem={text}: there is no ':' after the address at {text[begin:]!r}")
        attributes, at = _number(text, at + 1)
        wrong = _without_outcome(size_bytes, start)
        if wrong:
            return Defect(f"efi_fake_mem={text}: {text[begin:at]} {wrong}")
        entries.append(FakeEntry(Range.sized(start, size_bytes), attributes))
        if text[at : at + 1] == ",":
            at += 1
    return entries


def _without_outcome(size_bytes: int, start: int) -> str:
    if not size_bytes:
        return "is empty"
    if size_bytes % PAGE_BYTES or start % PAGE_BYTES:
        return "is not whole 4 KiB pages"
    return "goes beyond 2^64" if start + size_bytes > _WORD else ""


def _number(text: str, at: int) -> tuple[int, int]:
    match = _NUMBER.match(text, at)
    if match is None:  # the last alternative matches nothing at all
        return 0, at
    value = int(match["hex"], 16) if match["hex"] else int(match["octal"] or "0", 8)
    return (int(match["decimal"]) if match["decimal"] else value) % _WORD, match.end()


def _memparse(text: str, at: int) -> tuple[int, int]:
    """memparse(), lib/cmdline.c: a number, then perhaps one of K M G T P E in either case."""
    value, at = _number(text, at)
    power = _SUFFIXES.find(text[at : at + 1].upper()) if at < len(text) else -1
    return (value, at) if power < 0 else ((value << 10 * (power + 1)) % _WORD, at + 1)


def _written(value: int) -> str:
    for unit, letter in _UNITS:
        if value and value % unit == 0:
            return f"{value // unit}{letter}"
    return f"{value:#x}"
