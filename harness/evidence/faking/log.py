"""What a kernel prints about ``efi_fake_mem=``: the entries it took, and its whole EFI memory map after them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.evidence.defect import Defect
from harness.evidence.faking.entries import FakeEntry
from harness.evidence.klog import Line
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.maps.efiwords import attribute_bits, type_number
from harness.evidence.ranges import Range

# pr_info() of setup_fake_mem() without pr_fmt; once more with all entries for each further parameter.
_TAKEN = re.compile(r"efi_fake_mem: add attr=0x(?P<attributes>[0-9a-f]+) to \[mem 0x(?P<start>\w+)-0x(?P<last>\w+)\]")
# do_early_param(), init/main.c
MALFORMED = re.compile(r"Malformed early option 'efi[-_]fake[-_]mem'")
# efi_print_memmap() with efi_md_typeattr_format()
_ROW = re.compile(
    r"efi: mem(?P<number>\d+): \[(?P<type>[^|\]]*)\|(?P<attributes>[^\]]*)\] "
    r"range=\[0x(?P<start>[0-9a-f]+)-0x(?P<last>[0-9a-f]+)\]"
)
_WORD = 1 << 64


@dataclass(frozen=True)
class Row:
    """One descriptor as printed."""

    number: int
    region: EfiRegion | None
    """None when what is printed is no range of memory: not a descriptor at all."""
    line: Line


def entries_taken(lines: Iterable[Line]) -> tuple[FakeEntry, ...] | Defect:
    """The entries as the kernel says it understood them, in the order of the log.

    The kernel sorts them by their start. With several ``efi_fake_mem=`` it prints the whole list again for each, so the
    last list is what counts.
    """
    found: list[FakeEntry] = []
    for line in lines:
        match = _TAKEN.match(line.text)
        if match is None:
            continue
        start, last = int(match["start"], 16), int(match["last"], 16)
        if last < start:
            return Defect(f"the kernel took an entry that is no range: {line.text}")
        found.append(FakeEntry(Range.inclusive(start, last), int(match["attributes"], 16)))
    return tuple(found)


def printed_maps(lines: Sequence[Line]) -> tuple[tuple[Row, ...], ...] | Defect:
    """Every EFI memory map that was printed, whole, in order.

    Without ``efi=debug`` there is one, after the entries. With it there is one before them, and a third when the
    kernel has left boot services behind. A Defect when a line is missing or damaged.
    """
    maps: list[list[Row]] = []
    for line in lines:
        match = _ROW.match(line.text)
        if match is None:
            if line.text.startswith("efi: mem") and "range=" in line.text:
                return Defect(f"a line of the EFI memory map has another form: {line.text}")
            continue
        if int(match["number"]) == 0:
            maps.append([])
        wanted = len(maps[-1]) if maps else 0
        if int(match["number"]) != wanted:
            return Defect(f"the printed EFI memory map is not whole: mem{wanted:02} is missing before {line.text!r}")
        region = _region(match)
        if isinstance(region, Defect):
            return region
        maps[-1].append(Row(int(match["number"]), region, line))
    return tuple(map(tuple, maps))


def _region(match: re.Match[str]) -> EfiRegion | Defect | None:
    kind = type_number(match["type"].strip())
    attributes = attribute_bits(match["attributes"])
    if kind is None or attributes is None:
        return Defect(f"an EFI memory type or attribute is unknown: {match[0]}")
    start, end = int(match["start"], 16), (int(match["last"], 16) + 1) % _WORD or _WORD
    # An empty descriptor is printed with the end before the start.
    if end < start or (end == _WORD and start == 0):
        return None
    return EfiRegion(kind, Range(start, end), attributes)
