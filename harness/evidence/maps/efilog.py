"""The EFI memory map out of a console log, of any kernel since 2.6, as printed, stamped, quoted or wrapped by a mail.

Three forms are known::

    efi: mem05: type=7, attr=0xf, range=[0x000000000062a000-0x0000000004200000) (59MB)          before v4.0
    efi: mem05: [Conventional Memory|   |  |  |  |  |  |WB|WT|WC|UC] range=[0x...-0x...) (59MB)  v4.0
    efi: mem05: [Conventional|   |  |  |  |  |  |  |   |WB|WT|WC|UC] range=[0x...-0x...] (59MB)  since v4.6

Whether the end is inside is told by the bracket. Attribute columns are told by their words: each version has others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.evidence import klog
from harness.evidence.defect import Defect
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.maps.efiwords import attribute_bits, type_number
from harness.evidence.ranges import Range

_BEGIN = re.compile(r"\befi: mem(?P<number>\d+):")
# Mails wrap long lines, and put quotation marks in front.
_ENTRY = re.compile(
    r"\befi: mem(?P<number>\d+):\s*"
    r"(?:type=(?P<type>\d+),[\s>]*attr=0x(?P<bits>[0-9a-f]+),|\[(?P<word>[^|\]]*)\|(?P<columns>[^\]]*)\])"
    r"[\s>]*range=\[0x(?P<start>[0-9a-f]+)-0x(?P<end>[0-9a-f]+)(?P<bracket>[)\]])"
)
_WRAPPED_LINES = 3
"""An entry that a mail has wrapped stands on at most so many lines."""
_WORD = 1 << 64


@dataclass(frozen=True)
class LogEntry:
    """One descriptor as printed."""

    number: int
    region: EfiRegion
    line: int
    """Where it begins in the log, from 1."""


def efi_maps(log: bytes) -> tuple[tuple[LogEntry, ...], ...] | Defect:
    """Every EFI memory map of a log, whole, in order; empty when there is none.

    A kernel prints its map with ``efi=debug``; very old ones always do. A Defect names the line of an entry that is
    missing, damaged or no range: half a map would be another machine's.
    """
    lines = klog.lines(log)
    maps: list[list[LogEntry]] = []
    for index, line in enumerate(lines):
        begin = _BEGIN.search(line.text)
        if begin is None:
            continue
        entry = _entry("\n".join(item.text for item in lines[index : index + _WRAPPED_LINES]), begin, line.number)
        if isinstance(entry, Defect):
            return entry
        if entry.number == 0:
            maps.append([])
        wanted = len(maps[-1]) if maps else 0
        if entry.number != wanted:
            return Defect(f"line {line.number}: mem{entry.number:02} follows where mem{wanted:02} is expected")
        maps[-1].append(entry)
    return tuple(map(tuple, maps))


def _entry(text: str, begin: re.Match[str], line: int) -> LogEntry | Defect:
    match = _ENTRY.match(text, begin.start())
    name = f"line {line}: mem{begin['number']}"
    if match is None:
        return Defect(f"{name} is not as a kernel prints it: {text.partition(chr(10))[0].strip()[:120]!r}")
    kind = int(match["type"]) if match["type"] else type_number(match["word"].strip())
    attributes = int(match["bits"], 16) if match["bits"] else attribute_bits(match["columns"])
    if kind is None or attributes is None:
        return Defect(f"{name} has a memory type or an attribute that is unknown: {match[0]!r}")
    start, end = int(match["start"], 16), int(match["end"], 16) + (match["bracket"] == "]")
    if not start < end <= _WORD:
        return Defect(f"{name} is no range of memory: {match[0]!r}")
    return LogEntry(int(match["number"]), EfiRegion(kind, Range(start, end), attributes), line)
