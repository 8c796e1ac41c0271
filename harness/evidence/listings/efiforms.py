"""The forms in which EFI memory descriptors are printed: by kernels since 2.6, by Xen, and by the UEFI Shell.

Whether the end is inside is told by the bracket where there is one. Attribute columns are told by their words: each
version of Linux has others. docs/memory-maps.md shows a line of each form.
"""

from __future__ import annotations

import re
from enum import StrEnum

from harness.evidence.defect import Defect
from harness.evidence.listings.entries import WORD, LogEntry, OddEntry
from harness.evidence.listings.maplines import opening
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.maps.efiwords import SHELL_WORDS, attribute_bits, type_number
from harness.evidence.ranges import Range


class Form(StrEnum):
    """Who prints so."""

    NUMBERED = "x86 and ia64: mem00: ... range=[...]"
    PLAIN = "arm64, arm and riscv: 0x...-0x... [...]"
    XEN = "Xen: ...-... type=7 attr=..."
    SHELL = "the UEFI Shell's memmap"


_HEX = r"[0-9a-f]{1,24}"  # of more than 64 bits a kernel prints 20 digits
_TYPEATTR = r"\[(?P<word>[^|\[\]]*)(?:\|(?P<columns>[^\[\]]*))?\]"
_WORDS = "|".join(map(re.escape, sorted(SHELL_WORDS, key=len, reverse=True)))
HEADER = "header"
UNSURE = "unsure"
OPENINGS = (
    # "mem00:" alone may be anything; it is looked at when the entry may have been cut behind it.
    opening(Form.NUMBERED.name, "mem", r"\bmem(?P<number>\d{2,6}):(?=\s*(?:\[[^\[\]]*(?:\||$)|type\s*=|$))"),
    # Not "efi: memattr:  0x...": that is another table (drivers/firmware/efi/memattr.c).
    opening(Form.PLAIN.name, "efi:", r"\befi:\s+(?=0x[0-9a-f]{8,17}\s*-)"),
    opening(UNSURE, "efi:", r"\befi:\s*(?=(?:0x?[0-9a-f]*)?$)"),
    opening(UNSURE, "-0x", r"^[\s>]*(?=0x[0-9a-f]{12,16}-0x[0-9a-f]{12,17}(?:\s+\[[a-z]|\s*$))"),
    opening(Form.XEN.name, "type", r"\b(?=[0-9a-f]{13,16}-[0-9a-f]{13,17}\s+type\s*=)"),
    opening(
        Form.SHELL.name,
        "00000",
        rf"\b(?=(?:{_WORDS}|[0-9a-f]{{8}})\s+[0-9a-f]{{16}}-[0-9a-f]{{16}}\s+[0-9a-f]{{8,16}}\b)",
    ),
    opening(HEADER, "efi memory map", r"Processing EFI memory map|\bEFI memory map:"),
    opening(HEADER, "type", r"^[\s>]*Type\s+Start\s+End\s+#"),
)
"""Where an entry begins: the name is its Form's, or UNSURE when a PLAIN one may. HEADER: a map without numbers does."""
ENTRIES = {
    # print_efi_memmap(), efi_print_memmap(): arch/x86/platform/efi/efi.c and its forerunners, arch/ia64/kernel/efi.c
    Form.NUMBERED: re.compile(
        rf"\s*(?:type\s*=\s*(?P<type>\d{{1,10}})\s*,\s*attr\s*=\s*0x(?P<bits>{_HEX})\s*,|{_TYPEATTR})"
        rf"\s*range\s*=\s*\[\s*0x(?P<start>{_HEX})\s*-\s*0x(?P<end>{_HEX})\s*(?P<bracket>[)\]])"
        r"(?:\s*\(\s*(?P<size>\d{1,12})\s*(?P<unit>[KMGTP]B)\))?(?P<invalid>\s*\(invalid\))?",
        re.IGNORECASE,
    ),
    # reserve_regions(), drivers/firmware/efi/{efi,arm}-init.c and arch/arm64/kernel/efi.c
    Form.PLAIN: re.compile(rf"\s*0x(?P<start>{_HEX})\s*-\s*0x(?P<end>{_HEX})\s*{_TYPEATTR}", re.IGNORECASE),
    # efi_init_memory(), xen/common/efi/boot.c
    Form.XEN: re.compile(
        rf"\s*(?P<start>{_HEX})-(?P<end>{_HEX})\s+type\s*=\s*(?P<type>\d{{1,10}})\s+attr\s*=\s*(?P<bits>[0-9a-f]{{16}})",
        re.IGNORECASE,
    ),
    # UefiShellDebug1CommandsLib/MemMap.c
    Form.SHELL: re.compile(
        rf"\s*(?P<word>\S+)\s+(?P<start>{_HEX})-(?P<end>{_HEX})\s+{_HEX}\s+(?P<bits>[0-9a-f]{{16}})", re.IGNORECASE
    ),
}
_UNITS = {"KB": 10, "MB": 20, "GB": 30, "TB": 40, "PB": 50}


def entry_of(form: Form, number: int, match: re.Match[str], line: int) -> LogEntry | OddEntry | Defect:
    """What an entry says; a Defect when a word in it is unknown.

    Args:
        match: of ENTRIES[form].
        line: where it begins, from 1.
    """
    said = match.groupdict()
    kind = int(said["type"]) if said.get("type") else _type(said["word"], form)
    attributes: int | None = 0
    if said.get("bits"):
        attributes = int(said["bits"], 16)
    elif said.get("columns") is not None:
        attributes = attribute_bits(said["columns"])
    if kind is None or kind >= 1 << 32 or attributes is None or attributes >= WORD:
        return Defect(f"has a memory type or an attribute that is unknown: {' '.join(match[0].split())[:160]!r}")
    start, end = int(said["start"], 16), int(said["end"], 16) + (said.get("bracket", "]") == "]")
    why = _odd(start, end)
    if why:
        return OddEntry(number, line, kind, min(start, WORD - 1), why)
    known = bool(said.get("bits")) or said.get("columns") is not None
    return LogEntry(number, EfiRegion(kind, Range(start, end), attributes), line, attributes_known=known)


def misfit(match: re.Match[str], entry: LogEntry) -> str:
    """The size is printed beside a range, rounded down: what is wrong when it is another."""
    if match["size"] is None:
        return ""
    unit = match["unit"].upper()
    size = entry.region.range.size_bytes >> _UNITS[unit]
    if size == int(match["size"]):
        return ""
    return f"mem{entry.number:02} has {size}{unit} by its addresses, but {match['size']}{unit} beside them"


def _type(word: str, form: Form) -> int | None:
    if form is Form.SHELL and re.fullmatch(r"[0-9a-fA-F]{8}", word):
        return int(word, 16)
    return type_number(word)


def _odd(start: int, end: int) -> str:
    """Why that is no range of memory; empty when it is."""
    if start == end or (start == 0 and end == WORD):
        # Of no pages from 0 on, the last address is 2^64-1.
        return "it is empty"
    if end > WORD or start >= WORD:
        return f"its end {end:#x} lies over 64 bits"
    if end < start:
        return f"it ends at {end:#x}, before it begins: in truth over 64 bits"
    return ""
