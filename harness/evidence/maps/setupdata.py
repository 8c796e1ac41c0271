"""setup_data: what a boot loader or the EFI stub hands to a kernel besides boot_params."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from harness.evidence.defect import Defect
from harness.evidence.ranges import Range

PCI = 3
"""``type`` of a copy of a PCI option ROM (SETUP_PCI, arch/x86/include/uapi/asm/setup_data.h)."""
_HEAD_OFFSET = 0x250
"""boot_params.hdr.setup_data: physical address of the first piece (Documentation/arch/x86/boot.rst)."""
_HEADER_BYTES = 16
"""struct setup_data: u64 next, u32 type, u32 len; sysfs shows what comes behind it."""
_ROM_HEADER_BYTES = 48
"""What struct pci_setup_rom has between that and the ROM: two u16, and u64 for length and place of the device."""
_PIECE = re.compile(r"(?P<number>\d{1,4}) 0x(?P<type>[0-9a-f]{1,8}) (?P<size>\d{1,12})")


@dataclass(frozen=True)
class Piece:
    type: int
    size_bytes: int
    """Without the header."""

    @property
    def rom_bytes(self) -> int:
        """Size of the ROM in a piece of type PCI."""
        return self.size_bytes - _ROM_HEADER_BYTES


def pieces(text: str) -> tuple[Piece, ...] | Defect:
    """The guest's ``setup-data`` fact, in the order of the list."""
    found: list[tuple[int, Piece]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        match = _PIECE.fullmatch(line)
        if match is None:
            return Defect(f"the setup-data fact has a line of another form: {line!r}")
        found.append((int(match["number"]), Piece(int(match["type"], 16), int(match["size"]))))
    return tuple(piece for _, piece in sorted(found, key=lambda item: item[0]))


def first_rom(boot_params: bytes, text: str) -> Range | Defect:
    """Where the first piece of the list lies, which must be a PCI option ROM; it begins with the header."""
    found = pieces(text)
    if isinstance(found, Defect):
        return found
    if not found or len(boot_params) < _HEAD_OFFSET + 8:
        return Defect("the kernel was given no setup_data")
    (address,) = struct.unpack_from("<Q", boot_params, _HEAD_OFFSET)
    if found[0].type != PCI or not address:
        return Defect(f"the first piece of setup_data is of type {found[0].type}, not an option ROM")
    return Range.sized(address, _HEADER_BYTES + found[0].size_bytes)
