"""x86-64 page tables, walked from outside: 4- and 5-level, 4 KiB, 2 MiB and 1 GiB pages.

Sources: Intel SDM vol. 3A, chapter "Paging" (4; 5 in newer prints), the formats of CR3 and of each level's entries;
AMD64 APM vol. 2, section 5.3. Encrypted-memory bits (SME, TDX) and protection keys are not interpreted.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.evidence.defect import Defect
from harness.evidence.ranges import PAGE_BYTES, Range

Reader = Callable[[int, int], bytes]
"""Reads guest-physical memory: address, size in bytes. Fewer bytes than asked for mean: there is no such memory."""

PRESENT = 1 << 0
WRITABLE = 1 << 1
USER = 1 << 2
PWT = 1 << 3
PCD = 1 << 4
ACCESSED = 1 << 5
DIRTY = 1 << 6
LARGE = 1 << 7
"""PS, in a PDE or PDPTE: it maps a page itself. In a PTE this bit is PAT."""
GLOBAL = 1 << 8
PAT_LARGE = 1 << 12
NX = 1 << 63

TABLE_BYTES = PAGE_BYTES
ADDRESS_MASK = 0x000F_FFFF_FFFF_F000
"""The physical address in an entry or in CR3: bits 12 to 51."""
ADDRESS_SPACE = Range(0, 2**64)

_NAMES = {1: "PTE", 2: "PDE", 3: "PDPTE", 4: "PML4E", 5: "PML5E"}
_TABLE = struct.Struct("<512Q")


@dataclass(frozen=True, slots=True)
class Rules:
    """What the processor makes of the bits, besides the entries themselves."""

    la57: bool = False
    """CR4.LA57: five levels."""
    nxe: bool = True
    """EFER.NXE; without it bit 63 of an entry is reserved."""
    physical_bits: int = 52
    """MAXPHYADDR; address bits from here to 51 are reserved. 52 refuses none."""

    @property
    def levels(self) -> int:
        return 5 if self.la57 else 4

    def canonical(self, address: int) -> int:
        """Sign-extended to 64 bits, unsigned."""
        top = 1 << (12 + 9 * self.levels - 1)
        address &= 2 * top - 1
        return address | (2**64 - 2 * top) if address & top else address

    def reserved(self, entry: int, level: int) -> int:
        """The bits of a present entry that must be 0 and are not; an access through such an entry faults."""
        mask = (1 << 52) - (1 << self.physical_bits)
        if not self.nxe:
            mask |= NX
        if level >= 4:
            mask |= LARGE
        elif level >= 2 and entry & LARGE:
            mask |= page_bytes(level) - (PAT_LARGE << 1)
        return entry & mask


def page_bytes(level: int) -> int:
    """What one entry of a level covers: 4 KiB at level 1 (PTE), 2 MiB at 2 (PDE), 1 GiB at 3 (PDPTE)."""
    return 1 << (12 + 9 * (level - 1))


@dataclass(frozen=True, slots=True)
class Leaf:
    """One page as the tables map it, or the region of one entry that no access gets through (``reserved``)."""

    start: int
    """Virtual, canonical, unsigned."""
    level: int
    """1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB. A reserved entry may also be of level 4 or 5."""
    entries: tuple[int, ...]
    """From the top level down to the entry that maps the page."""
    tables: tuple[int, ...]
    """The physical address of each of these entries."""
    reserved: int = 0
    """Reserved bits that are set in the last entry."""

    @property
    def page_bytes(self) -> int:
        return page_bytes(self.level)

    @property
    def range(self) -> Range:
        """The virtual addresses."""
        return Range.sized(self.start, self.page_bytes)

    @property
    def entry(self) -> int:
        return self.entries[-1]

    @property
    def physical(self) -> int:
        """Of the page's first byte."""
        return self.entry & ADDRESS_MASK & -self.page_bytes

    @property
    def writable(self) -> bool:
        """R/W in every level."""
        return all(entry & WRITABLE for entry in self.entries)

    @property
    def user(self) -> bool:
        """U/S in every level."""
        return all(entry & USER for entry in self.entries)

    @property
    def nx(self) -> bool:
        """XD in any level. (Without EFER.NXE such an entry is a reserved one.)"""
        return any(entry & NX for entry in self.entries)

    @property
    def global_(self) -> bool:
        """G of the last entry; it means nothing in the others."""
        return bool(self.entry & GLOBAL)

    @property
    def pat(self) -> int:
        """Index into IA32_PAT: PAT, PCD, PWT."""
        high = self.entry & (LARGE if self.level == 1 else PAT_LARGE)
        return (4 if high else 0) | (2 if self.entry & PCD else 0) | (1 if self.entry & PWT else 0)

    def __str__(self) -> str:
        words = ["reserved bits"] if self.reserved else []
        words += ["RW" if self.writable else "ro", "NX" if self.nx else "x"]
        words += ["USR"] * self.user + ["GLB"] * self.global_
        return f"{self.range} -> {self.physical:#x} {' '.join(words)} ({_NAMES[self.level]} {self.entry:#x})"


@dataclass(frozen=True, slots=True)
class Translation:
    """Where one virtual address leads."""

    address: int
    leaf: Leaf

    @property
    def physical(self) -> int:
        return self.leaf.physical + self.address - self.leaf.start

    @property
    def page_bytes(self) -> int:
        return self.leaf.page_bytes


def translate(
    read: Reader, cr3: int, address: int, *, la57: bool = False, nxe: bool = True, physical_bits: int = 52
) -> Translation | Defect:
    """What the processor makes of a virtual address; a Defect says at which level it gets no further, and why."""
    rules = Rules(la57=la57, nxe=nxe, physical_bits=physical_bits)
    address &= 2**64 - 1
    if rules.canonical(address) != address:
        return Defect(f"{address:#x} is not canonical with {rules.levels} levels")
    tables = _Tables(read, max_tables=rules.levels)
    found = list(_leaves(tables, cr3 & ADDRESS_MASK, rules, [Range.sized(address, 1)]))
    if tables.defect is not None:
        return tables.defect
    if not found:
        return Defect(f"{address:#x} is not mapped: {tables.last}")
    if found[0].reserved:
        leaf = found[0]
        return Defect(
            f"{address:#x} cannot be reached: {_NAMES[leaf.level]} {leaf.entry:#018x} at {leaf.tables[-1]:#x} "
            f"has reserved bits {leaf.reserved:#x}"
        )
    return Translation(address, found[0])


def walk(
    read: Reader,
    cr3: int,
    *,
    la57: bool = False,
    nxe: bool = True,
    physical_bits: int = 52,
    ranges: Sequence[Range] | None = None,
    max_leaves: int = 2**20,
    max_tables: int = 2**16,
) -> tuple[Leaf, ...] | Defect:
    """Every page that is mapped, in order of its virtual address, one Leaf each.

    An entry with reserved bits is not followed: it comes as one Leaf with ``reserved`` set. A table that is pointed to
    from several places, itself included, is read once and counted each time, so tables with loops end at a limit.

    Args:
        ranges: only pages that share a byte with one of these virtual ranges.
        max_leaves, max_tables: more is a Defect; real tables of one address space have some ten thousand pages.
    """
    rules = Rules(la57=la57, nxe=nxe, physical_bits=physical_bits)
    tables = _Tables(read, max_tables)
    found: list[Leaf] = []
    for leaf in _leaves(tables, cr3 & ADDRESS_MASK, rules, [ADDRESS_SPACE] if ranges is None else ranges):
        if len(found) == max_leaves:
            return Defect(f"the page tables at {cr3:#x} map more than {max_leaves} pages")
        found.append(leaf)
    return tuple(found) if tables.defect is None else tables.defect


class _Tables:
    """Table pages, read once each, and what stopped the walk."""

    def __init__(self, read: Reader, max_tables: int) -> None:
        self._read = read
        self._pages: dict[int, tuple[tuple[int, int], ...]] = {}
        self._left = self._max = max_tables
        self.defect: Defect | None = None
        self.last = ""
        """In words, the table that was looked at last."""

    def present(self, address: int, level: int) -> tuple[tuple[int, int], ...]:
        """Index and value of the present entries."""
        if self.defect is not None:
            return ()
        self.last = f"no present {_NAMES[level]} for it in the table at {address:#x}"
        if self._left == 0:
            self.defect = Defect(f"the page tables need more than {self._max} tables: there is a loop in them")
            return ()
        self._left -= 1
        page = self._pages.get(address)
        if page is None:
            data = self._read(address, TABLE_BYTES)
            if len(data) != TABLE_BYTES:
                self.defect = Defect(f"the table of {_NAMES[level]}s at {address:#x} cannot be read")
                return ()
            page = tuple((index, entry) for index, entry in enumerate(_TABLE.unpack(data)) if entry & PRESENT)
            self._pages[address] = page
        return page


def _leaves(tables: _Tables, top: int, rules: Rules, wanted: Sequence[Range]) -> Iterator[Leaf]:
    """Depth first, in order; stops when ``tables.defect`` is set."""

    def below(table: int, level: int, base: int, entries: tuple[int, ...], places: tuple[int, ...]) -> Iterator[Leaf]:
        size = page_bytes(level)
        for index, entry in tables.present(table, level):
            start = rules.canonical(base + index * size)
            if not any(item.start < start + size and start < item.end for item in wanted):
                continue
            path, at = (*entries, entry), (*places, table + 8 * index)
            reserved = rules.reserved(entry, level)
            if reserved or level == 1 or entry & LARGE:
                yield Leaf(start, level, path, at, reserved)
            else:
                yield from below(entry & ADDRESS_MASK, level - 1, start, path, at)
            if tables.defect is not None:
                return

    return below(top, rules.levels, 0, (), ())


@dataclass(frozen=True, slots=True)
class Run:
    """Pages of one size, virtually adjoining, with the same rights."""

    range: Range
    leaves: tuple[Leaf, ...]

    def __str__(self) -> str:
        first = self.leaves[0]
        rights = str(first).split(" ", 3)[3].rpartition(" (")[0]
        return f"{self.range} -> {first.physical:#x} {rights}, {len(self.leaves)} x {first.page_bytes // 1024} KiB"


def merge(leaves: Iterable[Leaf]) -> tuple[Run, ...]:
    """Adjoining pages (virtual and physical) of one size and the same effective rights, joined."""
    groups: list[list[Leaf]] = []
    for leaf in leaves:
        if groups and _joins(groups[-1][-1], leaf):
            groups[-1].append(leaf)
        else:
            groups.append([leaf])
    return tuple(Run(Range(group[0].start, group[-1].range.end), tuple(group)) for group in groups)


def _joins(left: Leaf, right: Leaf) -> bool:
    return (
        left.range.end == right.start
        and left.level == right.level
        and left.physical + left.page_bytes == right.physical
        and _rights(left) == _rights(right)
    )


def _rights(leaf: Leaf) -> tuple[bool | int, ...]:
    return leaf.writable, leaf.user, leaf.nx, leaf.global_, leaf.pat, leaf.reserved
