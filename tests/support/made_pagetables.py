"""Builds x86-64 page tables in a dict of pages, by the manual: the other direction than evidence.pagetable.walk."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

P, RW, US, PS, G, NX = 1, 2, 4, 1 << 7, 1 << 8, 1 << 63
SHIFTS = {1: 12, 2: 21, 3: 30, 4: 39, 5: 48}


@dataclass
class Builder:
    """Physical memory with page tables in it; new tables are taken from ``next_page`` on."""

    levels: int = 4
    next_page: int = 0x10_0000
    memory: dict[int, bytearray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cr3 = self.new_table()

    def new_table(self) -> int:
        address, self.next_page = self.next_page, self.next_page + 4096
        self.memory[address] = bytearray(4096)
        return address

    def map(self, virtual: int, physical: int, flags: int, *, level: int = 1, upper: int = P | RW | US) -> int:
        """One page; tables on the way are made with ``upper``. Returns where the last entry lies."""
        table = self.cr3
        for upper_level in range(self.levels, level, -1):
            where = self.slot(table, virtual, upper_level)
            entry = self.get(where)
            if not entry & P:
                entry = self.new_table() | upper
                self.set(where, entry)
            table = entry & 0xF_FFFF_FFFF_F000
        where = self.slot(table, virtual, level)
        self.set(where, physical | flags | (PS if level > 1 else 0))
        return where

    @staticmethod
    def slot(table: int, virtual: int, level: int) -> int:
        return table + (virtual >> SHIFTS[level] & 511) * 8

    def get(self, where: int) -> int:
        page = self.memory[where & ~4095]
        return int(struct.unpack_from("<Q", page, where & 4095)[0])

    def set(self, where: int, entry: int) -> None:
        struct.pack_into("<Q", self.memory[where & ~4095], where & 4095, entry)

    def read(self, address: int, size_bytes: int) -> bytes:
        page = self.memory.get(address & ~4095)
        return b"" if page is None else bytes(page[address & 4095 : (address & 4095) + size_bytes])
