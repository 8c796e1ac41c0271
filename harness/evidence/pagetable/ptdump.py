"""Linux's own view of a page table: /sys/kernel/debug/page_tables/* (CONFIG_PTDUMP_DEBUGFS), x86-64.

Format: arch/x86/mm/dump_pagetables.c, note_page() and printk_prot(); the same in 5.10 to 7.x. The flags of a row are
those of the entry that maps the page, not the effective ones: the rights of the tables above it are not in them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.evidence.defect import Defect
from harness.evidence.pagetable import walk as paging
from harness.evidence.pagetable.walk import Leaf
from harness.evidence.ranges import Range

_ROW = re.compile(
    r"0x(?P<start>[0-9a-f]{16})-0x(?P<end>[0-9a-f]{16})\s+(?P<size>\d+)(?P<unit>[BKMGTPE])"
    r"(?P<flags>(?:\s+(?:USR|RW|ro|PWT|PCD|PSE|PAT|GLB|NX|x))*)\s+(?P<level>pgd|p4d|pud|pmd|pte)"
)
_MARKER = re.compile(r"---\[ (?P<name>.+) \]---")
_SKIPPED = re.compile(r"\.\.\. (?P<count>\d+) entr(?:y|ies) skipped \.\.\.")
_LEVELS = {"pgd": 5, "p4d": 4, "pud": 3, "pmd": 2, "pte": 1}
_UNITS = "BKMGTPE"


@dataclass(frozen=True, slots=True)
class Row:
    """Adjoining entries of one level with the same flags."""

    range: Range
    """Virtual; the last row of a dump may end at 2**64, which the kernel prints as 0."""
    level: int
    """As in ``paging.Leaf``: 1 for pte, 2 for pmd, 3 for pud. Of a row that is not present it says how deep the
    tables go there."""
    flags: frozenset[str]
    """``RW`` or ``ro``, ``NX`` or ``x``, and ``USR``, ``PWT``, ``PCD``, ``PSE``, ``PAT``, ``GLB``; empty when not
    present."""
    area: str
    """The kernel's name for this part of the address space, such as ``EFI Runtime Services``."""
    line: int
    """In the dump, from 1."""

    @property
    def present(self) -> bool:
        return bool(self.flags)


@dataclass(frozen=True, slots=True)
class Dump:
    rows: tuple[Row, ...]
    skipped: tuple[Range, ...] = ()
    """Where the kernel left rows out: it prints 16 of the ESPfix area, whose pages are mapped over and over."""

    def at(self, address: int) -> Row | None:
        """The row that holds a virtual address."""
        index = bisect_right(self.rows, address, key=lambda row: row.range.start) - 1
        return self.rows[index] if index >= 0 and self.rows[index].range.contains(address) else None


def parse(text: str) -> Dump | Defect:
    """The whole file. A row of another form, a gap or an overlap is a Defect: the dump was cut or is no dump.

    What a row says of its size is checked against its addresses.
    """
    rows: list[Row] = []
    skipped: list[Range] = []
    area, position, gap = "", None, False
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped:
            continue
        if match := _MARKER.fullmatch(stripped):
            area = match["name"]
        elif _SKIPPED.fullmatch(stripped):
            gap = True
        elif (match := _ROW.fullmatch(stripped)) and (row := _row(match, area, number)):
            start = row.range.start
            if position is not None and start != position and not (gap and start > position):
                return Defect(f"line {number} of the page table dump begins at {start:#x}, not at {position:#x}")
            if gap and position is not None:
                skipped.append(Range(position, start))
            rows.append(row)
            position, gap = row.range.end, False
        else:
            return Defect(f"line {number} of the page table dump has another form: {stripped!r}")
    if not rows or rows[-1].range.end != paging.ADDRESS_SPACE.end:
        return Defect(f"the page table dump ends at {position or 0:#x}, not at the top of the address space")
    return Dump(tuple(rows), tuple(skipped))


def _row(match: re.Match[str], area: str, line: int) -> Row | None:
    start, end = int(match["start"], 16), int(match["end"], 16) or paging.ADDRESS_SPACE.end
    if start >= end or end - start != int(match["size"]) << 10 * _UNITS.index(match["unit"]):
        return None
    return Row(Range(start, end), _LEVELS[match["level"]], frozenset(match["flags"].split()), area, line)


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the two views say something else."""

    range: Range
    walked: str
    """What the tables in memory say."""
    dumped: str
    """What the kernel says."""

    def __str__(self) -> str:
        return f"{self.range}: {self.walked} in memory, {self.dumped} in the dump"


@dataclass(frozen=True, slots=True)
class Comparison:
    pages: int
    """Leaves that were looked at."""
    rows: int
    """Rows of the dump, present or not."""
    differences: tuple[Difference, ...]
    unseen: int = 0
    """Leaves in places that the kernel left out of the dump."""


def compare(leaves: Iterable[Leaf], dump: Dump, ranges: Sequence[Range]) -> Comparison:
    """Every page against its row, and every byte of every row that is present against the pages, inside ``ranges``.

    The two are of different moments: outside of EFI's own ranges (vmalloc, modules, fixmap) a running kernel changes
    its tables, and the Accessed and Dirty bits, which are in no row, change everywhere.
    """
    differences: list[Difference] = []
    covered: dict[int, int] = {}
    pages = unseen = 0
    for leaf in leaves:
        if not any(leaf.range.overlaps(item) for item in ranges):
            continue
        pages += 1
        row = dump.at(leaf.start)
        if row is None and any(item.contains(leaf.start) for item in dump.skipped):
            unseen += 1
        elif row is None or not row.range.contains(leaf.range) or _shown(leaf) != _of(row, leaf):
            said = "nothing" if row is None else _row_text(row)
            differences.append(Difference(leaf.range, _said(_shown(leaf)), said))
        if row is not None:
            covered[row.line] = covered.get(row.line, 0) + sum(_shared(leaf.range, item) for item in ranges)
    seen = list(_inside(dump.rows, ranges))
    for row, size in seen:
        if row.present and covered.get(row.line, 0) != size:
            text = f"{covered.get(row.line, 0) // 1024} of {size // 1024} KiB mapped"
            differences.append(Difference(row.range, text, _row_text(row)))
    differences.sort(key=lambda item: item.range)
    return Comparison(pages, len(seen), tuple(differences), unseen)


def _inside(rows: Iterable[Row], ranges: Sequence[Range]) -> Iterator[tuple[Row, int]]:
    """Rows with the number of their bytes inside the ranges, which must not overlap each other."""
    for row in rows:
        if size := sum(_shared(row.range, item) for item in ranges):
            yield row, size


def _shared(left: Range, right: Range) -> int:
    both = left.intersection(right)
    return 0 if both is None else both.size_bytes


def _shown(leaf: Leaf) -> tuple[int, frozenset[str]]:
    """A leaf in the dump's words. PAT of a large page is bit 12, which the kernel masks away before it prints."""
    entry = leaf.entry
    flags = {"RW" if entry & paging.WRITABLE else "ro", "NX" if entry & paging.NX else "x"}
    for bit, name in ((paging.USER, "USR"), (paging.PWT, "PWT"), (paging.PCD, "PCD"), (paging.GLOBAL, "GLB")):
        if entry & bit:
            flags.add(name)
    if entry & paging.LARGE:
        flags.add("PAT" if leaf.level == 1 else "PSE")
    return leaf.level, frozenset(flags)


def _of(row: Row, leaf: Leaf) -> tuple[int, frozenset[str]]:
    return row.level, row.flags - {"PAT"} if leaf.level > 1 else row.flags


def _said(shown: tuple[int, frozenset[str]]) -> str:
    level, flags = shown
    name = next(name for name, number in _LEVELS.items() if number == level)
    return f"{' '.join(sorted(flags)) or 'not present'} ({name})"


def _row_text(row: Row) -> str:
    return f"{_said((row.level, row.flags))} in line {row.line}"
