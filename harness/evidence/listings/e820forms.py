"""The forms in which e820 tables are printed, by x86 kernels, by Xen, and in /sys/firmware/memmap.

Kernels before 3.5 and Xen before 4.14 print the first address behind an entry, later ones the last inside it.
docs/memory-maps.md shows a line of each form.
"""

from __future__ import annotations

import re
from enum import StrEnum

from harness.evidence.listings.entries import LogEntry
from harness.evidence.listings.maplines import opening
from harness.evidence.maps import e820
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.ranges import Range

_HEX = r"[0-9a-f]{1,24}"
_WORDS = {
    "usable": 1,
    "system ram": 1,
    "reserved": 2,
    "device reserved": 2,
    "acpi data": 3,
    "acpi tables": 3,
    "acpi nvs": 4,
    "acpi non-volatile storage": 4,
    "unusable": 5,
    "unusable memory": 5,
    "persistent memory": 7,
    "persistent memory (legacy)": 12,
    "soft reserved": 0xEFFFFFFF,
}
"""e820_print_type() of every version, Xen's print_e820_memory_map(), and /sys/firmware/memmap; by e820 type."""
EFI_TYPES = {1: 7, 3: 9, 4: 10, 5: 8, 7: 14, 12: 14, 0xEFFFFFFF: 7}
"""Those firmware's types that do_add_efi_memmap() and the EFI stub make such an entry of; the others are Reserved."""
_SOFT_RESERVED, _SPECIFIC_PURPOSE = 0xEFFFFFFF, 1 << 18
_RAM_ATTRIBUTES = 0xF
_WHAT = (
    r"(?P<what>(?:"
    + "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in sorted(_WORDS, key=len, reverse=True))
    + r")(?![\w-])|(?:persistent(?:\s+RAM)?\s+\()?type\s+(?P<type>\d{1,10})\b)"
)


_FIRST_WORDS = "|".join(sorted({word.split()[0] for word in _WORDS} | {"type"}))


class Form(StrEnum):
    """How an entry is printed."""

    BRACKETS = "BIOS-e820: [mem 0x...-0x...] usable"
    DASH = "BIOS-e820: ... - ... (usable)"
    XEN = "(XEN)  [..., ...] (usable)"
    XEN_DASH = "(XEN)  ... - ... (usable)"
    SYSFS = "0x...-0x... System RAM"


_WHO = r"(?:BIOS-[\w-]{1,16}|Xen|user|modified|extended|reserve\s+setup_data|EFI)"
OPENINGS = (
    opening(Form.BRACKETS.name, "[mem", rf"\b{_WHO}:\s*(?=\[mem\b)"),
    opening(Form.DASH.name, " -", rf"\b{_WHO}:\s*(?={_HEX}\s+-)"),
    opening(Form.DASH.name, "0000", rf"\b{_WHO}:\s*(?=[0-9a-f]{{16}}\s*$)"),
    opening(Form.XEN.name, "[0000", r"(?=\[[0-9a-f]{16},(?:\s+[0-9a-f]{16}\]|\s*$))"),
    opening(
        Form.XEN_DASH.name,
        "0000",
        r"(?<![0-9a-f])(?<!- )(?=[0-9a-f]{16}(?:\s+-(?:\s+[0-9a-f]{16}(?:\s+(?:\(|type\b)|\s*$)|\s*$)|\s*$))",
    ),
    opening(Form.SYSFS.name, "-0x", rf"^[\s>]*(?=0x{_HEX}-0x{_HEX}\s+[A-Z])"),
    opening("gap", "[gap", rf"\b{_WHO}:\s*(?=\[gap\b)"),
    opening("change", "e820", r"\be820:\s+(?:update|remove)\s+(?=\[mem\b)|\be820\s+(?:update|remove)\s+range:\s+"),
    opening("header", "ram map:", r"\bRAM map:"),
    opening("stray", "[mem", rf"(?<![\w-])[\w-]{{1,40}}:\s*(?=\[mem\s+0x{_HEX}-0x{_HEX}\]\s+(?:{_FIRST_WORDS})\b)"),
)
ENTRIES = {
    Form.BRACKETS: re.compile(rf"\[mem\s+0x(?P<start>{_HEX})\s*-\s*0x(?P<last>{_HEX})\]\s+{_WHAT}", re.IGNORECASE),
    Form.DASH: re.compile(rf"(?P<start>{_HEX})\s+-\s+(?P<end>{_HEX})\s+\(?{_WHAT}", re.IGNORECASE),
    Form.XEN: re.compile(rf"\[(?P<start>{_HEX}),\s+(?P<last>{_HEX})\]\s+\(?{_WHAT}", re.IGNORECASE),
    Form.XEN_DASH: re.compile(rf"(?P<start>{_HEX})\s+-\s+(?P<end>{_HEX})\s+\(?{_WHAT}", re.IGNORECASE),
    Form.SYSFS: re.compile(rf"0x(?P<start>{_HEX})-0x(?P<last>{_HEX})\s+{_WHAT}", re.IGNORECASE),
}
GAP = re.compile(rf"\[gap\s+0x(?P<start>{_HEX})\s*-\s*0x(?P<last>{_HEX})\]", re.IGNORECASE)
BIOS = ("bios-e820", "bios-e801", "bios-88")
UNSURE = (Form.SYSFS, Form.XEN, Form.XEN_DASH)
"""Whatever begins like these but goes on otherwise is no damaged entry but something else."""
CHANGE = re.compile(r"e820:?\s+(?:update|remove)\b.*", re.IGNORECASE)
NAMES = {Form.XEN: "Xen", Form.XEN_DASH: "Xen", Form.SYSFS: "/sys/firmware/memmap"}


def kind_of(match: re.Match[str]) -> int:
    """The e820 type that an entry says."""
    if match["type"]:
        return int(match["type"])
    return _WORDS[" ".join(match["what"].split()).casefold()]


def entry_of(number: int, where: Range, kind: int, line: int) -> LogEntry:
    """An entry of an e820 type, with the EFI type and the attributes that it most likely had."""
    attributes = _RAM_ATTRIBUTES | (_SPECIFIC_PURPOSE if kind == _SOFT_RESERVED else 0)
    region = EfiRegion(EFI_TYPES.get(kind, 0), where, attributes)
    words = e820.TYPE_NAMES.get(kind, f"type {kind}")
    return LogEntry(number, region, line, words=words, attributes_known=False)
