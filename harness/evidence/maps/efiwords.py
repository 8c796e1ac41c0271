"""The words in which EFI memory descriptors are printed.

By kernels in efi_md_typeattr_format(), drivers/firmware/efi/efi.c; by the UEFI Shell in MemMap.c of EDK2's ShellPkg.
"""

from __future__ import annotations

_TYPES = (
    ("Reserved",),
    ("Loader Code", "LoaderCode"),
    ("Loader Data", "LoaderData"),
    ("Boot Code", "BS_Code"),
    ("Boot Data", "BS_Data"),
    ("Runtime Code", "RT_Code"),
    ("Runtime Data", "RT_Data"),
    ("Conventional", "Conventional Memory", "Available"),
    ("Unusable", "Unusable Memory"),
    ("ACPI Reclaim", "ACPI Reclaim Memory", "ACPI_Recl"),
    ("ACPI Mem NVS", "ACPI Memory NVS", "ACPI_NVS"),
    ("MMIO", "Memory Mapped I/O"),
    ("MMIO Port", "MMIO Port Space", "MMIO_Port"),
    ("PAL Code", "PalCode"),
    ("Persistent", "Persistent Memory"),
    ("Unaccepted",),
)
"""memory_type_name[] by number; the longer words are those of kernels before v5.7, those in one word the Shell's."""
SHELL_WORDS = tuple(word for words in _TYPES for word in words if " " not in word)
"""What the first column of the Shell's listing may say, apart from an OEM's type."""
_NUMBERS = {word.replace(" ", "").casefold(): number for number, words in enumerate(_TYPES) for word in words}
_ATTRIBUTES = {
    "UC": 0,
    "WC": 1,
    "WT": 2,
    "WB": 3,
    "UCE": 4,
    "WP": 12,
    "RP": 13,
    "XP": 14,
    "NV": 15,
    "MR": 16,
    "RO": 17,
    "SP": 18,
    "CC": 19,
    "HP": 20,
    "RUN": 63,
}
"""Columns and their bits. Older kernels have fewer columns; they are told by name."""


def type_number(word: str) -> int | None:
    """EFI_MEMORY_TYPE of a word such as ``Boot Data``, or of ``type=2147483648``; None for an unknown word.

    Upper and lower case are one, and blanks do not count: terminals and mailers take them away.
    """
    word = "".join(word.split()).casefold()
    if word.startswith("type="):
        digits = word.removeprefix("type=")
        return int(digits) if digits.isdecimal() and len(digits) <= 10 else None
    return _NUMBERS.get(word)


def attribute_bits(columns: str) -> int | None:
    """The bits of ``RUN|  |  |WB|WT|WC|UC`` or of ``attr=0x...``; None when a column's word is unknown."""
    columns = columns.strip().upper()
    if columns.startswith("ATTR="):
        try:
            return int(columns.removeprefix("ATTR="), 16)
        except ValueError:
            return None
    names = [name for name in map(str.strip, columns.split("|")) if name]
    if not all(name in _ATTRIBUTES for name in names):
        return None
    return sum(1 << _ATTRIBUTES[name] for name in set(names))
