"""One range of memory through the maps that disagree about it.

kexec_file_load(2) takes ``System RAM`` of the resource tree (/proc/iomem); kexec_load(2), through kexec-tools, takes
``System RAM`` of /sys/firmware/memmap, where reservations made by efi_mem_reserve() never arrive. So the two words
alone predict, before any kexec, which system call may overwrite a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.evidence.maps import e820, efimap
from harness.evidence.maps import iomem as iomem_tree
from harness.evidence.maps.e820 import MemmapEntry
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.maps.iomem import Resource
from harness.evidence.ranges import Range


@dataclass(frozen=True)
class ThreeWay:
    """What each map says of a range. Several names mean that the range crosses a border; empty: not listed."""

    range: Range
    efi_types: tuple[str, ...]
    """From the firmware's own map at hand-off, such as ``BootServicesData``."""
    iomem: tuple[str, ...]
    """Top-level names of /proc/iomem."""
    firmware_memmap: tuple[str, ...]
    runtime_map: tuple[str, ...]
    """Types of the entries that Linux keeps and hands to the next kernel."""

    def __str__(self) -> str:
        """One line, all four maps."""
        parts = (
            ("EFI map", self.efi_types),
            ("/proc/iomem", self.iomem),
            ("/sys/firmware/memmap", self.firmware_memmap),
            ("runtime-map", self.runtime_map),
        )
        said = "; ".join(f"{name}: {' and '.join(names) or 'not listed'}" for name, names in parts)
        return f"{self.range}: {said}"


def view(
    where: Range,
    *,
    efi: Sequence[EfiRegion] = (),
    iomem: Sequence[Resource] = (),
    firmware_memmap: Sequence[MemmapEntry] = (),
    runtime_map: Sequence[EfiRegion] = (),
) -> ThreeWay:
    """Look ``where`` up in every map. With ``add_efi_memmap`` kexec-tools reads /proc/iomem for both calls."""
    return ThreeWay(
        range=where,
        efi_types=_unique(region.type_name for region in efimap.at(efi, where)),
        iomem=_unique(row.name for row in iomem_tree.at(iomem, where) if row.depth == 0),
        firmware_memmap=_unique(entry.type_name for entry in e820.at(firmware_memmap, where)),
        runtime_map=_unique(region.type_name for region in efimap.at(runtime_map, where)),
    )


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
