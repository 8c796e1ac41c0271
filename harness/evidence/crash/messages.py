"""Console bytes as kernel messages: without what stands before them, joined where a mailer has cut them, and cut where
a second message begins in the middle of a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from harness.evidence import klog, logform
from harness.evidence.klog import Line
from harness.evidence.logform import PLAIN, Form, Prefix


@dataclass(frozen=True)
class Message:
    start: int
    """Byte offset of its first byte, decoration included."""
    end: int
    """Byte offset after its last byte, without the line end unless it is the last of its line."""
    number: int
    """The line's number, from 1; 0 where it is not known."""
    context: str
    """``T123`` or ``C0``: who printed it, with CONFIG_PRINTK_CALLER; else empty."""
    stamped: bool
    """The kernel printed it: its stamp, its level or ``kernel:`` stands in front."""
    text: str
    """Without timestamp, escapes and line end."""
    time_s: float | None = None
    """Since the kernel began, where its stamp says so."""


# A timestamp behind "(XEN) " is the hypervisor's, and part of its message.
_STAMP = re.compile(rb"(?<!\(XEN\) )(?:<\d{1,2}>)?\[[ \t]*\d{1,8}\.\d{6}\](?:\[ *[TC]\d+\])?")
_STAMP_TEXT = re.compile(r"(?<!\(XEN\) )(?:<\d{1,2}>)?\[[ \t]*\d{1,8}\.\d{6}\](?:\[ *(?P<context>[TC]\d+)\])?")
_MOST_JOINED = 4


def from_bytes(data: bytes, start: int, end: int, form: Form = PLAIN, at: int = 0) -> Iterator[Message]:
    """The messages of whole lines in ``data[start:end]``; ``start`` is the beginning of a line.

    ``at`` is added to the offsets: where in its log ``data`` begins.
    """
    held: Message | None = None
    last, joined = "", 0
    for begin, stop in _bounds(data, start, end):
        line = data[begin:stop]
        for prefix, message, whole in _cut(line, begin + at, stop + at, form):
            if held is not None and joined < _MOST_JOINED and logform.continues(form, last, prefix, message.text):
                held = replace(held, end=message.end, text=logform.join(form, held.text, message.text))
                joined += 1
            else:
                if held is not None:
                    yield held
                held, joined = message, 0
            last = whole
    if held is not None:
        yield held


def _bounds(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        stop = data.find(b"\n", start, end)
        stop = end if stop < 0 else stop + 1
        yield start, stop
        start = stop


def _cut(line: bytes, start: int, end: int, form: Form) -> Iterator[tuple[Prefix, Message, str]]:
    """The messages of one line, each with its prefix and with itself as it stands there."""
    marks = [] if form.records else [match.span() for match in _STAMP.finditer(line) if match.start() > 0]
    while marks:  # stamps that are part of what the line begins with: a journal's or a mail's line
        lead = klog.plain_text(line[: marks[0][1]])
        if form.prefix(lead).end < len(lead):
            break
        del marks[0]
    begin = 0
    for mark, _ in [*marks, (len(line), 0)]:
        text = klog.plain_text(line[begin:mark].rstrip(b"\r\n"))
        prefix, said = form.message(text)
        stop = end if mark == len(line) else start + mark
        if form.records and (inner := _STAMP_TEXT.search(said, 1)):  # behind a prompt, say, in one record
            there = max(line.find(inner[0].encode()), 1)
            yield prefix, _message(start + begin, start + there, 0, prefix, said[: inner.start()]), text
            begin = there
            prefix = logform.prefix_of(said[inner.start() :])
            said = said[inner.start() + prefix.end :]
        yield prefix, _message(start + begin, stop, 0, prefix, said), text
        begin = mark


def from_lines(log: Iterable[Line]) -> Iterator[Message]:
    """The messages of klog's lines. Offsets inside a line that holds several are those of the line."""
    for line in log:
        begin, prefix = 0, Prefix(0, line.timestamp_s, line.caller, line.kernel)
        for match in [*_STAMP_TEXT.finditer(line.text), None]:
            if match is not None and match.start() == 0 and begin == 0:
                continue
            text = line.text[begin : match.start() if match is not None else len(line.text)]
            found = logform.prefix_of(text) if begin or not prefix.kernel else prefix
            yield _message(line.offset, line.offset, line.number, found, text[found.end :])
            begin = match.start() if match is not None else 0


# A getty's prompt without a timestamp behind it: "buildroot login: Unable to handle kernel ...".
_PROMPT = re.compile(r"(?:\S+ )?login: +(?=\S)")


def _message(start: int, end: int, number: int, prefix: Prefix, text: str) -> Message:
    if not prefix.kernel:  # in a kernel's message, the blanks that are left are its own
        prompt = _PROMPT.match(text)
        text = text[prompt.end() :] if prompt else text.lstrip()
    return Message(start, end, number, prefix.caller, prefix.kernel, text.rstrip(), prefix.time_s)
