"""A CPU's view of memory, over page tables in a fake physical memory."""

from __future__ import annotations

import struct

import pytest

from harness.evidence.defect import Defect
from harness.evidence.pagetable.virtual import View

CR3 = 0x1000


class Physical:
    """4 KiB pages; ``map`` maps one in four levels of tables."""

    def __init__(self) -> None:
        self.pages: dict[int, bytearray] = {CR3: bytearray(4096)}
        self.reads = 0
        self._next = 0x10000

    def read(self, address: int, size_bytes: int) -> bytes:
        self.reads += 1
        data = bytearray()
        while len(data) < size_bytes:
            place = address + len(data)
            page = self.pages.get(place & ~0xFFF)
            if page is None:
                break
            data += page[place & 0xFFF :][: size_bytes - len(data)]
        return bytes(data)

    def map(self, virtual: int, physical: int, root: int = CR3) -> None:
        table = root
        self.pages.setdefault(root, bytearray(4096))
        for shift in (39, 30, 21):
            at = (virtual >> shift & 511) * 8
            (entry,) = struct.unpack_from("<Q", self.pages[table], at)
            if not entry:
                entry, self._next = self._next | 7, self._next + 4096
                self.pages[entry & ~0xFFF] = bytearray(4096)
                struct.pack_into("<Q", self.pages[table], at, entry)
            table = entry & ~0xFFF
        struct.pack_into("<Q", self.pages[table], (virtual >> 12 & 511) * 8, physical | 7)

    def fill(self, physical: int, byte: int) -> None:
        self.pages[physical] = bytearray([byte]) * 4096


@pytest.fixture
def memory() -> Physical:
    physical = Physical()
    for number, page in enumerate((0x80000, 0x90000, 0x91000)):
        physical.map(0xFFFF888000000000 + 4096 * number, page)
        physical.fill(page, number + 1)
    return physical


def test_across_pages_that_do_not_lie_together(memory: Physical) -> None:
    view = View(memory.read, CR3)
    start = 0xFFFF888000000000
    assert view.physical(start + 0x123) == 0x80123
    assert view.read(start + 4094, 4) == b"\1\1\2\2"
    assert view.read(start, 3 * 4096) == bytes([1]) * 4096 + bytes([2]) * 4096 + bytes([3]) * 4096


def test_what_is_not_mapped(memory: Physical) -> None:
    view = View(memory.read, CR3)
    end = 0xFFFF888000000000 + 3 * 4096
    assert isinstance(view.physical(end), Defect)
    assert isinstance(view.read(end - 2, 4), Defect)
    assert view.some(end - 2, 4) == b"\3\3"
    assert view.some(end, 4) == b""
    assert isinstance(view.read(0x1000000000000, 4), Defect)  # not canonical


def test_without_paging(memory: Physical) -> None:
    view = View(memory.read, 0, paged=False)
    assert view.read(0x80000, 4) == b"\1\1\1\1"
    assert isinstance(view.read(0xDEAD000, 4), Defect)


def test_tables_are_read_once(memory: Physical) -> None:
    view = View(memory.read, CR3)
    view.read(0xFFFF888000000000, 16)
    before = memory.reads
    view.read(0xFFFF888000001000, 16)
    assert memory.reads == before + 1


def test_the_kernels_tables_when_those_of_user_space_are_loaded(memory: Physical) -> None:
    memory.map(0x400000, 0x80000, root=0x7000)  # CR3 of user space: bit 12 is set
    memory.map(0x400000, 0x90000, root=0x6000)
    assert View(memory.read, 0x7000).physical(0x400000) == 0x80000
    assert View(memory.read, 0x7000, kernel=True).physical(0x400000) == 0x90000
