"""The page tables that firmware runs on under Linux: which addresses are EFI's own, and how they are kept in a record.

Linux calls runtime services on an address space of their own, ``efi_mm``. Its user half and the window from
EFI_VA_END to EFI_VA_START hold EFI's mappings; all else is shared with the kernel (arch/x86/platform/efi/efi_64.c,
efi_alloc_page_tables() and efi_sync_low_kernel_mappings()), and global pages are lawful there.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.evidence.defect import Defect
from harness.evidence.pagetable import walk as paging
from harness.evidence.pagetable.walk import TABLE_BYTES, Leaf, Reader
from harness.evidence.ranges import Range

EFI_WINDOW = Range(2**64 - 68 * 2**30, 2**64 - 4 * 2**30)
"""EFI_VA_END to EFI_VA_START (Documentation/arch/x86/x86_64/mm.rst: "EFI region mapping space"), in which the kernel
maps the runtime regions top down at the addresses it gives to SetVirtualAddressMap."""
CR4_LA57 = 1 << 12
"""Five-level paging (Intel SDM vol. 3A, section 2.5)."""
MAX_TABLES = 4096
"""A real efi_mm has some thirty tables for EFI's ranges; twice 4096 pages of 4 KiB is where a record stops."""

SAMPLE = "page-tables"
"""Subject of the sample that holds a capture, and of the guest's report on its own view of them."""

_MAGIC = b"HRNSPGTB"
_HEADER = struct.Struct("<8sQQQ")
_PAGE = struct.Struct(f"<Q{TABLE_BYTES}s")


def efi_ranges(*, la57: bool) -> tuple[Range, Range]:
    """The user half (the 1:1 mappings) and the EFI window, in order of address."""
    return Range(0, 2 ** (56 if la57 else 47)), EFI_WINDOW


@dataclass(frozen=True)
class Capture:
    """Table pages of one moment: what a walk over EFI's ranges needs and no more."""

    cr3: int
    cr4: int
    pages: Mapping[int, bytes] = field(repr=False)
    """Physical address to 4096 bytes."""

    @property
    def la57(self) -> bool:
        return bool(self.cr4 & CR4_LA57)

    @property
    def ranges(self) -> tuple[Range, Range]:
        return efi_ranges(la57=self.la57)

    def read(self, address: int, size_bytes: int) -> bytes:
        """As ``paging.Reader``: nothing for a page that was not captured."""
        return self.pages.get(address, b"")[:size_bytes]

    def leaves(self, ranges: Sequence[Range] | None = None) -> tuple[Leaf, ...] | Defect:
        """The pages that EFI's ranges, or parts of them, map."""
        wanted = self.ranges if ranges is None else ranges
        return paging.walk(self.read, self.cr3, la57=self.la57, ranges=wanted, max_tables=MAX_TABLES)


def take(read: Reader, cr3: int, cr4: int) -> Capture:
    """Walks EFI's ranges and keeps each table it reads. A table that cannot be read is left out, and the walk of the
    capture then ends at the same place."""
    pages: dict[int, bytes] = {}

    def keep(address: int, size_bytes: int) -> bytes:
        data = read(address, size_bytes)
        if len(data) == TABLE_BYTES:
            pages[address] = data
        return data

    la57 = bool(cr4 & CR4_LA57)
    paging.walk(keep, cr3, la57=la57, ranges=efi_ranges(la57=la57), max_tables=MAX_TABLES)
    return Capture(cr3, cr4, pages)


def encode(capture: Capture) -> bytes:
    """The form in a record: ``HRNSPGTB``, CR3, CR4, number of pages, then each page's address and its 4096 bytes, by
    address; all numbers 64-bit little-endian."""
    parts = [_HEADER.pack(_MAGIC, capture.cr3, capture.cr4, len(capture.pages))]
    parts += [_PAGE.pack(address, page) for address, page in sorted(capture.pages.items())]
    return b"".join(parts)


def decode(data: bytes) -> Capture | Defect:
    """What ``encode`` wrote; anything else is a Defect."""
    if len(data) < _HEADER.size:
        return Defect(f"{len(data)} bytes do not hold the {_HEADER.size}-byte header of captured page tables")
    magic, cr3, cr4, count = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        return Defect(f"captured page tables begin with {magic.hex()}, not {_MAGIC.hex()}")
    if len(data) != _HEADER.size + count * _PAGE.size:
        return Defect(f"{len(data)} bytes do not hold {count} captured table pages")
    pages = dict(_PAGE.iter_unpack(data[_HEADER.size :]))
    if len(pages) != count or any(address % TABLE_BYTES for address in pages):
        return Defect("captured page tables with addresses that are given twice or are not of whole pages")
    return Capture(cr3, cr4, pages)
