"""A kernel's memory by virtual address, from physical memory and VMCOREINFO alone."""

from __future__ import annotations

from collections.abc import Callable

from harness.evidence.defect import Defect
from harness.evidence.pagetable.walk import Leaf, translate
from harness.evidence.ranges import PAGE_BYTES
from harness.evidence.vmcoreinfo import VmcoreInfo

ReadPhysical = Callable[[int, int], bytes | Defect]
KERNEL_MAP = 0xFFFFFFFF_80000000
"""__START_KERNEL_map: the kernel's image is mapped from here on, linearly."""
_KERNEL_IMAGE_BYTES = 1 << 30
_LEAF_BYTES = (1 << 12, 1 << 21, 1 << 30)
_MAX_LEAVES = 4096


class KernelMemory:
    """Reads by virtual address. The kernel's image needs only ``phys_base``, all else the kernel's page tables.

    Args:
        read: guest-physical memory.
    """

    def __init__(self, info: VmcoreInfo, read: ReadPhysical) -> None:
        self._info = info
        self._read_physical = read
        self._leaves: dict[tuple[int, int], Leaf] = {}

    def physical(self, address: int) -> int | Defect:
        """Where a virtual address lies, or why that cannot be said."""
        address %= 2**64
        in_image = self._image(address)
        if in_image is not None:
            return in_image
        for size in _LEAF_BYTES:
            leaf = self._leaves.get((address & -size, size))
            if leaf is not None:
                return leaf.physical + address - leaf.start
        return self._walk(address)

    def read(self, address: int, size: int) -> bytes | Defect:
        """Exactly ``size`` bytes; a Defect names the first page that is not there."""
        pieces = []
        while size > 0:
            physical = self.physical(address)
            if isinstance(physical, Defect):
                return physical
            wanted = min(size, PAGE_BYTES - address % PAGE_BYTES)
            piece = self._read_physical(physical, wanted)
            if isinstance(piece, Defect):
                return piece
            pieces.append(piece)
            address, size = address + wanted, size - wanted
        return b"".join(pieces)

    def _image(self, address: int) -> int | None:
        base = self._info.phys_base
        limit = self._info.number("KERNEL_IMAGE_SIZE") or _KERNEL_IMAGE_BYTES
        if base is None or not KERNEL_MAP <= address < KERNEL_MAP + limit:
            return None
        physical = address - KERNEL_MAP + base
        return physical if physical >= 0 else None

    def _walk(self, address: int) -> int | Defect:
        top = self._info.symbol("init_top_pgt") or self._info.symbol("swapper_pg_dir")
        if top is None:
            return Defect("VMCOREINFO has no SYMBOL(init_top_pgt): the kernel's page tables cannot be found")
        table = self._image(top)
        if table is None:
            return Defect(f"the kernel's page tables at {top:#x} are not in its image")
        la57 = bool(self._info.number("pgtable_l5_enabled"))
        found = translate(self._table, table, address, la57=la57)
        if isinstance(found, Defect):
            return found
        if len(self._leaves) >= _MAX_LEAVES:
            self._leaves.clear()
        self._leaves[(found.leaf.start, found.leaf.page_bytes)] = found.leaf
        return found.physical

    def _table(self, address: int, size: int) -> bytes:
        data = self._read_physical(address, size)
        return b"" if isinstance(data, Defect) else data
