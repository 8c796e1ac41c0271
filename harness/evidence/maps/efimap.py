"""The EFI memory map (UEFI 2.10, 7.2.3) and the part of it that Linux shows after boot."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence.defect import Defect
from harness.evidence.ranges import PAGE_BYTES, Range

RESERVED = 0
BOOT_SERVICES_DATA = 4
CONVENTIONAL = 7
RUNTIME = 1 << 63
_DESCRIPTOR = struct.Struct("<I4xQQQQ")

TYPE_NAMES = (
    "ReservedMemoryType",
    "LoaderCode",
    "LoaderData",
    "BootServicesCode",
    "BootServicesData",
    "RuntimeServicesCode",
    "RuntimeServicesData",
    "ConventionalMemory",
    "UnusableMemory",
    "ACPIReclaimMemory",
    "ACPIMemoryNVS",
    "MemoryMappedIO",
    "MemoryMappedIOPortSpace",
    "PalCode",
    "PersistentMemory",
    "UnacceptedMemoryType",
)
"""EFI_MEMORY_TYPE without ``Efi``, by number."""

ATTRIBUTE_NAMES = (
    (0, "UC"),
    (1, "WC"),
    (2, "WT"),
    (3, "WB"),
    (4, "UCE"),
    (12, "WP"),
    (13, "RP"),
    (14, "XP"),
    (15, "NV"),
    (16, "MORE_RELIABLE"),
    (17, "RO"),
    (18, "SP"),
    (19, "CPU_CRYPTO"),
    (20, "HOT_PLUGGABLE"),
    (63, "RUNTIME"),
)
"""Bit and name; hot-pluggable is new in UEFI 2.11."""

_RUNTIME_LINE = re.compile(
    r"(?P<number>\d+) type=(?P<type>\w+) phys_addr=(?P<start>\w+) virt_addr=\w+"
    r" num_pages=(?P<pages>\w+) attribute=(?P<attributes>\w+)"
)


@dataclass(frozen=True)
class EfiRegion:
    """EFI_MEMORY_DESCRIPTOR without the virtual address."""

    type: int
    range: Range
    attributes: int

    @property
    def type_name(self) -> str:
        """The spec's name without ``Efi``, such as ``BootServicesData``; ``type 0x70000001`` for an OEM's."""
        return type_name(self.type)

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Short names as the UEFI spec has them without ``EFI_MEMORY_``, such as ``("WB", "RUNTIME")``.

        A bit without a name is shown as ``bit 42``.
        """
        names = dict(ATTRIBUTE_NAMES)
        return tuple(names.get(bit, f"bit {bit}") for bit in range(64) if self.attributes >> bit & 1)

    @property
    def runtime(self) -> bool:
        """Is EFI_MEMORY_RUNTIME (bit 63) set?"""
        return bool(self.attributes & RUNTIME)


def type_name(number: int) -> str:
    """The spec's name of an EFI_MEMORY_TYPE without ``Efi``; ``type 0x70000001`` for one that it does not name."""
    return TYPE_NAMES[number] if number < len(TYPE_NAMES) else f"type {number:#x}"


def parse_descriptors(data: bytes, descriptor_size_bytes: int) -> tuple[EfiRegion, ...] | Defect:
    """Raw descriptors, as the agent's ``memmap`` frame carries them, in the firmware's order.

    Args:
        descriptor_size_bytes: the stride, which firmware may make larger than the 40 bytes of a descriptor
            (EDK2 says 48), so it is never assumed.
    """
    if descriptor_size_bytes < _DESCRIPTOR.size:
        return Defect(f"EFI memory descriptors of {descriptor_size_bytes} bytes; they have at least 40")
    if len(data) % descriptor_size_bytes:
        return Defect(f"{len(data)} bytes are not a whole number of {descriptor_size_bytes}-byte EFI descriptors")
    regions: list[EfiRegion] = []
    for offset in range(0, len(data), descriptor_size_bytes):
        kind, start, _virtual, pages, attributes = _DESCRIPTOR.unpack_from(data, offset)
        regions.append(EfiRegion(kind, Range.sized(start, pages * PAGE_BYTES), attributes))
    return tuple(regions)


def parse_runtime_map(text: str) -> tuple[EfiRegion, ...] | Defect | None:
    """The guest's ``runtime-map`` fact, sorted by entry number; None when the guest says ``absent``."""
    if text.strip() == "absent":
        return None
    regions: dict[int, EfiRegion] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        match = _RUNTIME_LINE.fullmatch(line)
        try:
            if match is None:
                raise ValueError(line)
            kind, start, pages, attributes = (int(match[name], 0) for name in ("type", "start", "pages", "attributes"))
        except ValueError:
            return Defect(f"the runtime-map fact has a line of another form: {line!r}")
        regions[int(match["number"])] = EfiRegion(kind, Range.sized(start, pages * PAGE_BYTES), attributes)
    return tuple(region for _, region in sorted(regions.items()))


def at(regions: Sequence[EfiRegion], where: Range) -> tuple[EfiRegion, ...]:
    """The regions that share a byte with ``where``."""
    return tuple(region for region in regions if region.range.overlaps(where))
