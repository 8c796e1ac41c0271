"""The tables of physical RAM that x86 kernels and Xen print when they start: BIOS-e820 and what is made of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.evidence.klog import Line
from harness.evidence.listings.e820forms import (
    BIOS,
    CHANGE,
    EFI_TYPES,
    ENTRIES,
    GAP,
    NAMES,
    OPENINGS,
    UNSURE,
    Form,
    entry_of,
    kind_of,
)
from harness.evidence.listings.entries import WORD, LogEntry, LogMap, MapKind, OddEntry, Remark
from harness.evidence.listings.maplines import Place, begins, candidates
from harness.evidence.ranges import Range


@dataclass
class _Table:
    """A table while it is read."""

    who: str
    line: int
    entries: list[LogEntry] = field(default_factory=list)
    odd: list[OddEntry] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    damage: Remark | None = None
    ranges: set[Range] = field(default_factory=set)
    gaps: list[Range] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Entries so far, odd ones too."""
        return len(self.entries) + len(self.odd)

    def check(self) -> None:
        """A kernel that prints gaps as well leaves nothing out: where neither is, a line is missing."""
        if not self.gaps or self.damage is not None:
            return
        end = 0
        lines = {entry.region.range: entry.line for entry in self.entries}
        for where in sorted((*self.ranges, *self.gaps)):
            if where.start > end:
                text = f"what is printed before {where} does not reach it: an entry is missing"
                self.damage = Remark(lines.get(where, self.line), text)
                return
            end = max(end, where.end)


class _Reader:
    """Puts entries together to tables."""

    def __init__(self) -> None:
        self.tables: list[_Table] = []
        self._closed = True
        self._first: list[Range] = []

    def header(self) -> None:
        """A table begins behind it."""
        self._closed, self._first = True, []

    def table(self, who: str, line: int, where: Range | None) -> _Table:
        """The table that an entry belongs to; a new one when it begins again."""
        last = self.tables[-1] if self.tables else None
        if last is None or self._closed or last.who != who or (where in last.ranges and not self._repeated(where)):
            last = _Table(who, line)
            self.tables.append(last)
        if self._closed:
            last.gaps += self._first
        self._closed, self._first = False, []
        return last

    def _repeated(self, where: Range | None) -> bool:
        """Two consoles have written the same line into the log."""
        entries = self.tables[-1].entries
        return bool(entries) and entries[-1].region.range == where

    def entry(self, who: str, match: re.Match[str], line: int) -> None:
        """The next entry of a table."""
        said = match.groupdict()
        start = int(said["start"], 16)
        end = int(said["last"], 16) + 1 if said.get("last") else int(said["end"], 16)
        kind = kind_of(match)
        if not start < end <= WORD:
            table = self.table(who, line, None)
            why = "it is empty" if start == end else f"its end {end:#x} is none"
            table.odd.append(OddEntry(table.count, line, EFI_TYPES.get(kind, 0), start, why))
            return
        where = Range(start, end)
        table = self.table(who, line, where)
        if where in table.ranges:
            table.remarks.append(Remark(line, "the same entry once more, which counts once"))
            return
        table.ranges.add(where)
        table.entries.append(entry_of(table.count, where, kind, line))

    def damage(self, who: str, place: Place) -> None:
        """An entry cannot be read: neither can its table."""
        table = self.table(self.tables[-1].who if _garbled(who) and self.tables else who, place.line, None)
        table.damage = table.damage or Remark(place.line, _illegible(place.text[place.index]))

    def stray(self, line: int, text: str) -> None:
        """Whoever speaks cannot be read; in the middle of a table it is an entry of that one."""
        if self.goes_on(None, line):
            table = self.tables[-1]
            table.damage = table.damage or Remark(line, _illegible(text))

    def goes_on(self, who: str | None, line: int) -> bool:
        """Is a line the next one of the last table, or the same once more?"""
        table = self.tables[-1] if self.tables and not self._closed else None
        if table is None or not table.entries or who not in (None, table.who):
            return False
        return line - table.entries[-1].line <= 1

    def gap(self, text: str) -> None:
        """No memory, the kernel says."""
        match = GAP.match(text)
        if match is None or int(match["start"], 16) > int(match["last"], 16):
            return
        gaps = self._first if self._closed else self.tables[-1].gaps
        gaps.append(Range.inclusive(int(match["start"], 16), int(match["last"], 16)))

    def change(self, line: int, text: str) -> None:
        """The kernel has changed its table after it was printed."""
        if self.tables:
            self.tables[-1].remarks.append(Remark(line, f"changed after it was printed: {text}"))


def e820_tables(lines: Sequence[Line]) -> tuple[tuple[LogMap, ...], tuple[Remark, ...]]:
    """Every such table of a log, in order, and what is wrong with those that are not whole."""
    reader = _Reader()
    for name, begin, place in begins(OPENINGS, lines):
        if name in Form.__members__:
            _read(reader, Form[name], _who(Form[name], begin[0]), place)
        else:
            _other(reader, name, place)
    for table in reader.tables:
        table.check()
    whole = tuple(_map(item) for item in reader.tables if item.damage is None)
    return whole, tuple(item.damage for item in reader.tables if item.damage is not None)


def _who(form: Form, begin: str) -> str:
    return NAMES.get(form) or " ".join(begin.strip(" :\t\n").split())


def _garbled(who: str) -> bool:
    """Has a console lost characters of the word in front?"""
    return who.lower().startswith("bios-") and who.lower() not in BIOS


def _other(reader: _Reader, name: str, place: Place) -> None:
    """What is no entry but says something of a table."""
    if name == "header":
        reader.header()
    elif name == "stray":
        reader.stray(place.line, place.text[place.index])
    elif name == "gap":
        reader.gap(place.shown)
    else:
        match = CHANGE.search(place.text[place.index])
        reader.change(place.line, match[0].strip() if match is not None else place.shown)


def _read(reader: _Reader, form: Form, who: str, place: Place) -> None:
    for candidate, _ in candidates(place, OPENINGS):
        match = None if _garbled(who) else ENTRIES[form].match(candidate)
        if match is not None:
            reader.entry(who, match, place.line)
            return
    if form not in UNSURE or reader.goes_on(who, place.line):
        reader.damage(who, place)


def _illegible(text: str) -> str:
    return f"an entry is not as it is printed: {text.strip()[:120]!r}"


def _map(item: _Table) -> LogMap:
    return LogMap(
        kind=MapKind.E820,
        title=f"e820 table ({item.who})",
        line=item.line,
        entries=tuple(item.entries),
        odd=tuple(item.odd),
        remarks=tuple(item.remarks),
    )
