"""Console bytes as kernel messages: lines, cut where a second message begins in the middle of one."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from harness.evidence import klog
from harness.evidence.klog import Line


@dataclass(frozen=True)
class Message:
    start: int
    """Byte offset of its first byte."""
    end: int
    """Byte offset after its last byte, without the line end unless it is the last of its line."""
    number: int
    """The line's number, from 1; 0 where it is not known."""
    context: str
    """``T123`` or ``C0``: who printed it, with CONFIG_PRINTK_CALLER; else empty."""
    stamped: bool
    """printk put its timestamp in front, so that no program printed it."""
    text: str
    """Without timestamp, escapes and line end."""


# A timestamp behind "(XEN) " is the hypervisor's, and part of its message.
_STAMP = re.compile(rb"(?<!\(XEN\) )(?:<\d{1,2}>)?\[ *\d{1,8}\.\d{6}\](?:\[ *(?P<context>[TC]\d+)\])?")
_STAMP_TEXT = re.compile(r"(?<!\(XEN\) )(?:<\d{1,2}>)?\[ *\d{1,8}\.\d{6}\](?:\[ *(?P<context>[TC]\d+)\])? ?")
# rsyslog and journalctl on a console: "Nov 21 08:38:05 host kernel: ", "2026-11-21T08:38:05+00:00 host kernel: ".
_SYSLOG = re.compile(r"(?:[A-Z][a-z]{2} [ \d]\d [\d:]{8}|\d{4}-\d\d-\d\dT[\d:.+Z-]+) \S+ kernel: ")


def from_bytes(data: bytes, start: int, end: int) -> Iterator[Message]:
    """The messages of whole lines in ``data[start:end]``; ``start`` is the beginning of a line."""
    offset = start
    while offset < end:
        stop = data.find(b"\n", offset, end)
        stop = end if stop < 0 else stop + 1
        yield from _cut(data, offset, stop)
        offset = stop


def _cut(data: bytes, start: int, end: int) -> Iterator[Message]:
    line = data[start:end]
    marks = [0, *(match.start() for match in _STAMP.finditer(line) if match.start() > 0), len(line)]
    for index, (begin, stop) in enumerate(itertools.pairwise(marks)):
        piece = line[begin:stop]
        stamp = _STAMP.match(piece)
        context = (stamp["context"] or b"").decode() if stamp else ""
        last = index == len(marks) - 2
        plain = klog.lines(piece.rstrip(b"\r\n") + b"\n")[0]
        yield _unwrapped(
            Message(start + begin, end if last else start + stop, 0, context, stamp is not None, plain.text)
        )


def from_lines(log: Iterable[Line]) -> Iterator[Message]:
    """The messages of klog's lines. Offsets inside a line that holds several are those of the line."""
    for line in log:
        marks = [match.start() for match in _STAMP_TEXT.finditer(line.text) if match.start() > 0]
        if not marks:
            yield _unwrapped(
                Message(line.offset, line.offset, line.number, "", line.timestamp_s is not None, line.text)
            )
            continue
        bounds = [0, *marks, len(line.text)]
        for begin, stop in itertools.pairwise(bounds):
            piece = line.text[begin:stop]
            stamp = _STAMP_TEXT.match(piece)
            stamped = stamp is not None or (begin == 0 and line.timestamp_s is not None)
            context = (stamp["context"] or "") if stamp else ""
            text = piece[stamp.end() :] if stamp else piece
            yield _unwrapped(Message(line.offset, line.offset, line.number, context, stamped, text))


# A getty's prompt without a timestamp behind it: "buildroot login: Unable to handle kernel ...".
_PROMPT = re.compile(r"(?:\S+ )?login: +(?=\S)")


def _unwrapped(message: Message) -> Message:
    """Without what syslog or a getty put in front of a message that has no timestamp of its own."""
    if message.stamped:
        return message
    if syslog := _SYSLOG.match(message.text):
        return replace(message, stamped=True, text=message.text[syslog.end() :])
    if prompt := _PROMPT.match(message.text):
        return replace(message, text=message.text[prompt.end() :])
    return message
