"""A CPU's view of memory from outside: virtual addresses, through its page tables, out of physical memory."""

from __future__ import annotations

from collections.abc import Callable

from harness.evidence.defect import Defect
from harness.evidence.pagetable import walk as paging
from harness.evidence.ranges import PAGE_BYTES, align_down

Reader = Callable[[int, int], bytes]
"""``read(physical_address, size_bytes)``; fewer bytes where there is no memory."""

_USER_TABLES = 1 << 12
"""With page table isolation the tables of user space lie 4 KiB behind those of the kernel
(PTI_USER_PGTABLE_BIT in arch/x86/include/asm/pgtable.h) and map next to nothing of it."""


class View:
    """Memory as one CPU sees it. Page tables are kept once read: make a new one when the CPU has run.

    Args:
        paged: CR0.PG; without paging a virtual address is a physical one.
        kernel: look through the kernel's tables also when those of user space are loaded.
    """

    def __init__(
        self, read: Reader, cr3: int, *, paged: bool = True, la57: bool = False, nxe: bool = True, kernel: bool = False
    ) -> None:
        self._read = read
        self._cr3 = cr3 & ~_USER_TABLES if kernel else cr3
        self._paged = paged
        self._la57 = la57
        self._nxe = nxe
        self._tables: dict[tuple[int, int], bytes] = {}
        self._known: dict[int, tuple[int, int] | Defect] = {}

    def physical(self, address: int) -> int | Defect:
        """Where a virtual address leads."""
        if not self._paged:
            return address
        page = align_down(address, PAGE_BYTES)
        if page not in self._known:
            found = paging.translate(self._table, self._cr3, page, la57=self._la57, nxe=self._nxe)
            self._known[page] = found if isinstance(found, Defect) else (found.physical, found.page_bytes)
        known = self._known[page]
        return known if isinstance(known, Defect) else known[0] + address - page

    def read(self, address: int, size_bytes: int) -> bytes | Defect:
        """``size_bytes`` bytes, or the first reason why they are not all there."""
        data = bytearray()
        while len(data) < size_bytes:
            place = address + len(data)
            physical = self.physical(place)
            if isinstance(physical, Defect):
                return physical
            wanted = self._together(place, physical, size_bytes - len(data))
            piece = self._read(physical, wanted)
            if len(piece) != wanted:
                return Defect(f"only {len(piece)} of {wanted} bytes could be read at physical {physical:#x}")
            data += piece
        return bytes(data)

    def some(self, address: int, size_bytes: int) -> bytes:
        """What there is from ``address`` on, at most ``size_bytes``."""
        whole = self.read(address, size_bytes)
        if not isinstance(whole, Defect):
            return whole
        data = bytearray()
        while len(data) < size_bytes:
            place = address + len(data)
            wanted = min(size_bytes - len(data), PAGE_BYTES - place % PAGE_BYTES)
            piece = self.read(place, wanted)
            if isinstance(piece, Defect):
                break
            data += piece
        return bytes(data)

    def _together(self, address: int, physical: int, most: int) -> int:
        """How many bytes from here on lie together in physical memory."""
        if not self._paged:
            return most
        size = PAGE_BYTES - address % PAGE_BYTES
        while size < most and self.physical(address + size) == physical + size:
            size += PAGE_BYTES
        return min(size, most)

    def _table(self, address: int, size_bytes: int) -> bytes:
        key = (address, size_bytes)
        if key not in self._tables:
            self._tables[key] = self._read(address, size_bytes)
        return self._tables[key]
