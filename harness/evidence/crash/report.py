"""A crash of a log as one report: its title, its bounds, its backtrace, and whether it can be trusted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from harness.evidence import klog
from harness.evidence.code.symbols import SymbolTable
from harness.evidence.crash import around, parser, scan
from harness.evidence.crash.backtrace import backtrace, moved, named
from harness.evidence.crash.extent import Extent, extent
from harness.evidence.crash.formats.table import Format
from harness.evidence.crash.formats.values import Report
from harness.evidence.crash.guilty import Where
from harness.evidence.crash.log import Log, Memory, Reader
from harness.evidence.crash.messages import Message
from harness.evidence.logform import PLAIN, Form

_WINDOW_BYTES = 1 << 18
"""The longest report that is looked at; lockdep's with all locks of all tasks are about half of it."""
_NEEDLES = scan.Needles.of(parser.FORMATS)
MAX_ALIKE = 100
"""So many reports of one row of the tables are told in full: a kernel that warns without end gives a number instead."""
_KEY_BYTES = 256
_MOST_KEYS = 10_000
_DIGITS = b"0123456789"


@dataclass
class Untold:
    """What ``every`` has found beyond MAX_ALIKE."""

    counts: Counter[str] = field(default_factory=Counter)
    """How many lines that begin a report more, by the title of the last report of their row."""


def first(data: bytes | Log, start: int = 0, *, table: SymbolTable | None = None) -> Report | None:
    """The first crash in ``data[start:]``, or None. Offsets count from the beginning of ``data``.

    ``table`` gives names to the addresses of a kernel that prints no names. KASLR is allowed for when the report says
    how far it moved the kernel.
    """
    return next(every(data, start, table=table), None)


def every(
    data: bytes | Log, start: int = 0, *, table: SymbolTable | None = None, untold: Untold | None = None
) -> Iterator[Report]:
    """All crashes of a log in their order, MAX_ALIKE of one row at most. One begins behind the end of the one before.

    ``untold`` is filled, until the iteration ends, with the number of the others.
    """
    reader = Reader(Memory(data) if isinstance(data, bytes) else data)
    flood = _Flood(reader, Untold() if untold is None else untold)
    done = start
    for hit in scan.candidates(reader.log, _NEEDLES, reader.line_start(start)):
        if hit < done:
            continue
        if behind := flood.behind_known(hit) or _behind_dull_line(reader, hit):
            done = behind
            continue
        found = _begin(reader, hit, done)
        if found is None:
            done = reader.line_end(hit)
        elif flood.is_full(found, hit):
            done = found.message.end
        else:
            report = _report(reader, found, table)
            flood.told(found, report)
            yield report
            done = report.end


@dataclass(frozen=True)
class _Found:
    """The first line of a report."""

    message: Message
    row: Format
    match: re.Match[str]
    form: Form
    """Of the log there."""


@dataclass
class _Flood:
    """Counts the reports of each row, and knows the lines of a row that has had enough."""

    reader: Reader
    untold: Untold
    _counts: Counter[Format] = field(default_factory=Counter)
    _titles: dict[Format, str] = field(default_factory=dict)
    _keys: dict[bytes, Format] = field(default_factory=dict)

    def behind_known(self, hit: int) -> int:
        """The end of the line around ``hit``, if one like it was one too many before; else 0. Counts it."""
        if not self._keys:
            return 0
        line = self.reader.around(hit)[1]
        row = self._keys.get(line.translate(None, _DIGITS))
        if row is None:
            return 0
        self.untold.counts[self._titles[row]] += 1
        return hit + len(line)

    def is_full(self, found: _Found, hit: int) -> bool:
        """Whether enough of its row have been told. Counts it if so."""
        if self._counts[found.row] < MAX_ALIKE:
            return False
        self.untold.counts[self._titles[found.row]] += 1
        if len(self._keys) < _MOST_KEYS:
            self._keys[self.reader.around(hit)[1].translate(None, _DIGITS)] = found.row
        return True

    def told(self, found: _Found, report: Report) -> None:
        self._counts[found.row] += 1
        self._titles[found.row] = report.title


_SECOND = re.compile(r"\[[ \t]*\d{1,8}\.\d{6}\]|\(XEN\)")


def _behind_dull_line(reader: Reader, hit: int) -> int:
    """The end of the line around ``hit``, where one look shows that it begins no report; else 0.

    Most lines with a marker are such: the kernel stamped them and the next one, and the marker is a word among others.
    """
    before, behind = reader.around(hit)
    line = before + behind
    if not line.endswith(b"\n"):
        return 0
    text = klog.plain_text(line[:-1])
    prefix = PLAIN.prefix(text)
    if not prefix.kernel or _SECOND.search(text, prefix.end) or parser.may_match(text[prefix.end :]):
        return 0
    stop = hit + len(behind)
    return stop if reader.piece(stop, stop + 1) in _STAMPS else 0


def _begin(reader: Reader, hit: int, done: int) -> _Found | None:
    """The message around ``hit``, or behind it in its line, that a report begins with."""
    line, stop = reader.line_start(hit), reader.line_end(hit)
    messages = [message for message in reader.messages(line, stop, PLAIN) if message.end > hit]
    form = _form(reader, line, stop, messages)
    if form is not PLAIN:
        if form.wrap is not None:
            line, stop = _unwrapped(reader, line, stop)
        messages = [message for message in reader.messages(line, stop, form) if message.end > hit]
    for message in messages:
        if message.start < done:
            continue
        matched = parser.match(message)
        if matched is not None and not around.is_harmless(reader, message, matched[0]):
            return _Found(message, *matched, form)
    return None


def _form(reader: Reader, line: int, stop: int, messages: Sequence[Message]) -> Form:
    """The form of the log, learned only where it could matter: most lines say by themselves what they begin with."""
    here = reader.piece(line, line + 2)
    if here[:1] not in _RECORDS and messages and messages[0].stamped:
        if reader.piece(stop, stop + 1) in _STAMPS:
            return PLAIN
        after = klog.plain_text(reader.piece(stop, reader.line_end(stop))[:_KEY_BYTES])
        return reader.form(line) if after.strip() and not PLAIN.prefix(after).begins else PLAIN
    before = _line_before(reader, line)  # this may be the rest of one that a mailer has cut
    if here[:1] in _DECORATIONS or before[:1] in _STAMPS or here in (reader.piece(stop, stop + 2), before):
        return reader.form(line)
    return PLAIN


_RECORDS = (b"{", b"d", b"\x1e")
_STAMPS = frozenset((b"[", b"<"))
"""How most lines begin that a kernel has stamped."""
_DECORATIONS = frozenset(bytes([byte]) for byte in b'{"_MSd\t >|&0123456789[(<`')
"""How a record or a line begins that somebody decorated."""


def _line_before(reader: Reader, line: int) -> bytes:
    before = reader.line_start(line - 1) if line else line
    return reader.piece(before, min(line, before + 2))


def _unwrapped(reader: Reader, line: int, stop: int) -> tuple[int, int]:
    """A line with its neighbours, as far as a mailer may have cut one line into several."""
    for _ in range(3):
        line = reader.line_start(line - 1) if line else line
        stop = reader.line_end(stop)
    return line, stop


def _report(reader: Reader, found: _Found, table: SymbolTable | None) -> Report:
    row, begin = found.row, found.message
    form = reader.form(begin.start) if found.form is PLAIN else found.form
    line = reader.line_start(begin.start)
    stop = min(reader.log.size, line + _WINDOW_BYTES)
    messages = (message for message in reader.messages(line, stop, form) if message.start >= begin.start)
    if table is not None:
        here = moved(table, reader.piece(line, stop), 0, stop - line)
        messages = (named(message, here) for message in messages)
    reach = extent(messages, row)
    rest = parser.rest_of(reach.messages, 0, row)
    guilt = parser.blame_for(reach.messages, 0, row)
    said = parser.reason(row, around.before(reader, begin, form), reach.messages[1:])
    title = parser.title(row, found.match, rest, guilt, missing="corrupted", said=said)
    function = parser.named(row, found.match, guilt, strict=True)
    start = begin.start if said is None else min(begin.start, said.start)
    end = reach.messages[reach.last].end
    return Report(
        title=title,
        kind=row.kind,
        severity=reach.severity,
        start=start,
        end=end,
        frame=function or parser.first_line_function(found.match) or None,
        frames=guilt.frames,
        corrupted=_corrupted(reach, row, function != "", _DROPPED.search(reader.piece(line, end)) is not None),
        signature=parser.signature(row, title, guilt.frames),
        line=reader.line_number(start),
        epoch=reader.kernels(start),
        backtrace=backtrace(message for message in rest if message.start < end),
    )


_TAIL = re.compile(
    r"Kernel panic - not syncing: (?:kernel: )?(?P<what>Fatal exception|panic_on_warn set|hung_task: blocked tasks"
    r"|softlockup: hung tasks)"
)
_DROPPED = re.compile(rb"\*\* \d+ printk messages dropped")
_PAUSE_S = 5.0
"""A report is printed without such pauses: what comes later is behind it, although nothing marks its end."""
_SOON = 12
"""So few messages behind the first line, another report is inside this one rather than behind it."""


def _later(one: Message, other: Message) -> bool:
    """Whether time went by between two messages."""
    return one.time_s is not None and other.time_s is not None and other.time_s - one.time_s > _PAUSE_S


def _corrupted(reach: Extent, row: Format, named: bool, dropped: bool) -> str | None:
    """Why a report cannot be trusted, or None."""
    if dropped:
        return "the kernel dropped messages"
    if (m := _TAIL.match(reach.messages[0].text)) is not None:
        return f"the beginning is missing: {m['what']} ends another report"
    if row.where not in (Where.NOWHERE, Where.GIVEN) and not named:
        return "the backtrace is missing, cut off, or names no function"
    other = next((message for message in reach.messages[1:_SOON] if message.text == reach.other), None)
    if reach.other and other is not None and not _later(reach.messages[reach.last], other):
        return f"another report begins inside it: {other.text[:80]}"
    return None
