"""EFI memory maps out of logs: entries in any of the forms, put together to maps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from harness.evidence.defect import Defect
from harness.evidence.klog import Line
from harness.evidence.listings.efiforms import ENTRIES, HEADER, OPENINGS, UNSURE, Form, entry_of, misfit
from harness.evidence.listings.entries import LogEntry, LogMap, MapKind, OddEntry, Remark
from harness.evidence.listings.maplines import Place, begins, candidates

_TITLES = {Form.XEN: "EFI memory map (Xen)", Form.SHELL: "EFI memory map (UEFI Shell)"}
_NEAR_LINES = 3
_SURE = re.compile(r"\befi:\s*mem\d+:$", re.IGNORECASE)


def efi_maps(lines: Sequence[Line]) -> tuple[tuple[LogMap, ...], tuple[Remark, ...]]:
    """Every EFI memory map of a log, in order, and what is wrong with those that are not whole.

    A kernel prints its map with ``efi=debug``; those before 4.0 always do. A map of which an entry is missing or
    cannot be read is not in the first part, but the second names the line.
    """
    reader = _Reader()
    for name, begin, place in begins(OPENINGS, lines):
        if name == HEADER:
            reader.header()
        elif name == UNSURE:
            _read(reader, Form.PLAIN, 0, place, sure=False)
        else:
            _read(reader, Form[name], int(begin["number"]) if name == Form.NUMBERED.name else 0, place)
    whole = tuple(_map(item) for item in reader.maps if item.damage is None)
    return whole, tuple(item.damage for item in reader.maps if item.damage is not None)


def _read(reader: _Reader, form: Form, number: int, place: Place, *, sure: bool = True) -> None:
    wrong: Defect | None = None
    for candidate, behind in candidates(place, OPENINGS):
        match = ENTRIES[form].match(candidate)
        entry = None if match is None else entry_of(form, number, match, place.line)
        if isinstance(entry, Defect):
            wrong = wrong or entry
        elif match is not None and entry is not None:
            if form is Form.NUMBERED and (match["invalid"] or _invalid_follows(place, behind)):
                reader.invalid(entry)
            else:
                reader.entry(form, entry)
                if form is Form.NUMBERED and isinstance(entry, LogEntry) and (text := misfit(match, entry)):
                    reader.remark(form, Remark(place.line, text))
            return
    sure = sure or (reader.goes_on(form, place.line) and "[" in place.shown)
    if not sure or (form is Form.NUMBERED and not place.shown and not _SURE.search(place.in_front)):
        return  # such as "mem00:" at the end of a line of other things
    name = f"mem{number:02}" if form is Form.NUMBERED else "an entry"
    why = wrong.text if wrong is not None else f"is not as it is printed: {place.shown!r}"
    reader.damage(form, number, Remark(place.line, f"{name} {why}"))


def _invalid_follows(place: Place, behind: int) -> bool:
    """The last word may have been cut off."""
    return behind < len(place.text) and place.text[behind].strip(" >").lower() == "(invalid)"


@dataclass
class _Map:
    """A map while it is read."""

    form: Form
    line: int
    entries: list[LogEntry] = field(default_factory=list)
    odd: list[OddEntry] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    damage: Remark | None = None
    last: LogEntry | OddEntry | None = None

    @property
    def wanted(self) -> int:
        """The number that comes next."""
        return len(self.entries) + len(self.odd)

    def add(self, entry: LogEntry | OddEntry) -> None:
        """Put the next entry in."""
        if isinstance(entry, LogEntry):
            self.entries.append(entry)
        else:
            self.odd.append(entry)
        self.last = entry

    def repeats(self, entry: LogEntry | OddEntry) -> bool:
        """Is it what was printed just before? Two consoles write into some logs."""
        last = self.last
        if isinstance(last, LogEntry) and isinstance(entry, LogEntry):
            if self.form is not Form.NUMBERED:
                return last.region == entry.region
            # A map of one entry may be printed again, later.
            near = last.number > 0 or last.line + 1 == entry.line
            return near and last.number == entry.number and last.region == entry.region
        numbered = self.form is Form.NUMBERED
        return numbered and isinstance(last, OddEntry) and isinstance(entry, OddEntry) and last.number == entry.number


class _Reader:
    """Puts entries together to maps."""

    def __init__(self) -> None:
        self.maps: list[_Map] = []
        self._open: dict[Form, _Map] = {}
        self._remarks: list[Remark] = []

    def header(self) -> None:
        """A map without numbers begins behind it."""
        self._open = {form: item for form, item in self._open.items() if form is Form.NUMBERED}

    def goes_on(self, form: Form, line: int) -> bool:
        """Is the last entry of a map near?"""
        last = self._open[form].last if form in self._open else None
        return last is not None and line - last.line <= _NEAR_LINES

    def damage(self, form: Form, number: int, remark: Remark) -> None:
        """An entry cannot be read: neither can its map."""
        current = self._current(form, number, remark.line)
        current.damage = current.damage or remark

    def invalid(self, entry: LogEntry | OddEntry) -> None:
        """The kernel has said so and has taken it out of the map, which it prints later (efi_clean_memmap())."""
        why = f": {entry.why}" if isinstance(entry, OddEntry) else ""
        text = f"mem{entry.number:02} is invalid, the kernel says, and no entry of its map{why}"
        self._remarks.append(Remark(entry.line, text))

    def remark(self, form: Form, remark: Remark) -> None:
        """Something about the entry that was put in last."""
        self._open[form].remarks.append(remark)

    def entry(self, form: Form, entry: LogEntry | OddEntry) -> None:
        """The next entry of a map."""
        current = self._open.get(form)
        if current is not None and current.repeats(entry):
            current.remarks.append(Remark(entry.line, "the same entry once more, which counts once"))
            return
        if form is Form.NUMBERED:
            self._numbered(entry)
            return
        first = current.entries[0] if current is not None and current.entries else None
        if first is not None and isinstance(entry, LogEntry) and first.region == entry.region:
            del self._open[form]  # it begins again
        current = self._current(form, 0, entry.line)
        current.add(replace(entry, number=current.wanted))

    def _numbered(self, entry: LogEntry | OddEntry) -> None:
        current = self._current(Form.NUMBERED, entry.number, entry.line)
        if entry.number == current.wanted:
            current.add(entry)
        elif current.damage is None:
            text = f"mem{entry.number:02} follows where mem{current.wanted:02} is expected"
            current.damage = Remark(entry.line, text)

    def _current(self, form: Form, number: int, line: int) -> _Map:
        found = self._open.get(form)
        if form is Form.NUMBERED and found is not None and number < found.wanted:
            found = None  # the next map, or a line that somebody cites below a whole one
        if found is None:
            found = self._open[form] = _Map(form, line, remarks=self._remarks)
            self.maps.append(found)
            self._remarks = []
        return found


def _map(item: _Map) -> LogMap:
    return LogMap(
        kind=MapKind.EFI,
        title=_TITLES.get(item.form, "EFI memory map"),
        line=item.line,
        entries=tuple(item.entries),
        odd=tuple(item.odd),
        remarks=tuple(item.remarks),
    )
