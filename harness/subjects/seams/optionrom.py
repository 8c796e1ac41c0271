"""PCI devices that have an option ROM and nothing else (``machine: {option_roms: [...]}``). Pure.

The EFI stub copies the ROM image of every PCI device that has one into EfiLoaderData and hands it to the kernel as
setup_data of type SETUP_PCI (setup_efi_pci() in drivers/firmware/efi/libstub/x86-stub.c). The image holds no code: it
says that it is for PC-AT, and UEFI firmware without a CSM does not start such images.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

_VENDOR, _DEVICE = 0x1B36, 0x0005
"""QEMU's pci-testdev (docs/specs/pci-ids.rst of QEMU); the ROM's ids must be those of its device."""
_HEADER_BYTES = 0x20
_BLOCK_BYTES = 512


def image(size_bytes: int) -> bytes:
    """A PCI expansion ROM of one image (PCI Firmware Specification 3.3, section 5.1)."""
    blocks = size_bytes // _BLOCK_BYTES
    header = struct.pack("<HB", 0xAA55, min(blocks, 0xFF)).ljust(0x18, b"\0") + struct.pack("<H", _HEADER_BYTES)
    # Length of this structure, its revision, class code (three bytes), image length in blocks, revision of the code,
    # code type 0 (PC-AT), indicator 0x80 (the last image).
    data = struct.pack("<4sHHHHB3sHHBB2x", b"PCIR", _VENDOR, _DEVICE, 0, 0x18, 0, b"\0\0\xff", blocks, 1, 0, 0x80)
    content = header.ljust(_HEADER_BYTES, b"\0") + data
    # The bytes of a PC-AT image add up to zero.
    return (content + bytes([-sum(content) % 256])).ljust(size_bytes, b"\0")


def files(sizes: Sequence[int]) -> dict[str, bytes]:
    """The ROM files, by the name in the run directory."""
    return {_name(size): image(size) for size in sizes}


def arguments(sizes: Sequence[int]) -> list[str]:
    """QEMU's arguments; ``{run}`` stands for the run directory."""
    return [word for size in sizes for word in ("-device", f"pci-testdev,romfile={{run}}/{_name(size)}")]


def _name(size_bytes: int) -> str:
    return f"option-rom-{size_bytes // 2**10}K.rom"
