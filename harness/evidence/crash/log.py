"""A log of any size, read in pieces: its lines, its messages, the number of a line and of a kernel.

Nothing here holds more of a log than a few hundred kilobytes, however long its lines are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from harness.evidence import klog, logform
from harness.evidence.crash.messages import Message, from_bytes
from harness.evidence.logform import Form

LINE_BYTES = 1 << 16
"""More of one line is never looked at at once: a console without line ends is cut at its stamps."""
_PIECE_BYTES = 1 << 18
_FORM_BYTES = 1 << 14
"""The form of a log is learned for each piece of this size anew: a log may begin as a mail, or have been joined."""
_NEAR_BYTES = 512
"""Most lines are shorter."""
_SAMPLED_BYTES = 1024
"""Of a line, to learn its form from."""
_MOST_FORMS = 64
_BANNER = b"Linux version "
_STAMP = re.compile(rb"\[[ \t]*\d{1,8}\.\d{6}\](?:\[ *[TC]\d+\])?[ \t]*$")


class Log(Protocol):
    """Bytes that may be too many for memory."""

    @property
    def size(self) -> int:
        """All of them."""

    def read(self, start: int, end: int) -> bytes:
        """``[start:end]``, shorter where the log ends."""


@dataclass(frozen=True)
class Memory:
    """A log that is in memory already."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, start: int, end: int) -> bytes:
        return self.data[max(0, start) : max(0, end)]


@dataclass
class _Counted:
    """Line ends and banners before an offset; counted on from there when a later offset is asked for."""

    at: int = 0
    lines: int = 0
    kernels: int = 0


@dataclass
class Reader:
    """Reads one log, and remembers where it was, so that going on costs no second pass."""

    log: Log
    _counted: _Counted = field(default_factory=_Counted)
    _forms: dict[int, Form] = field(default_factory=dict)
    _held: tuple[int, bytes] = (0, b"")

    def piece(self, start: int, end: int) -> bytes:
        """``[start:end]`` of the log, at most a few hundred kilobytes."""
        start, end = max(0, start), min(end, self.log.size)
        begin, data = self._held
        if begin <= start and end <= begin + len(data):
            return data[start - begin : end - begin]
        self._held = (start, self.log.read(start, max(end, start + _PIECE_BYTES)))
        return self._held[1][: end - start]

    def around(self, at: int) -> tuple[bytes, bytes]:
        """The line around ``at``, what stands before and from there on; short lines only, others come in part."""
        near = max(0, at - _NEAR_BYTES)
        data = self.piece(near, at + _NEAR_BYTES)
        begin = data.rfind(b"\n", 0, at - near) + 1
        end = data.find(b"\n", at - near) + 1
        return data[begin : at - near], data[at - near : end or len(data)]

    def line_start(self, at: int) -> int:
        """Where the line around ``at`` begins, LINE_BYTES before it at the most."""
        begin = max(0, at - LINE_BYTES)
        near = max(begin, at - _NEAR_BYTES)
        found = self.piece(near, at).rfind(b"\n")
        if found >= 0:
            return near + found + 1
        return begin + self.piece(begin, at).rfind(b"\n") + 1

    def line_end(self, at: int) -> int:
        """Behind the line end that follows ``at``, LINE_BYTES further at the most."""
        found = self.piece(at, at + _NEAR_BYTES).find(b"\n")
        if found < 0:
            found = self.piece(at, at + LINE_BYTES).find(b"\n")
        return at + found + 1 if found >= 0 else min(self.log.size, at + LINE_BYTES)

    def starts_line(self, at: int) -> bool:
        """Whether a line begins at ``at``."""
        return at == 0 or self.piece(at - 1, at) == b"\n"

    def messages(self, start: int, end: int, form: Form) -> Iterator[Message]:
        """The messages of ``[start:end]``; ``start`` is the beginning of a line.

        Where it is in the middle of a line of endless length, the messages begin with the first stamp.
        """
        whole = self.starts_line(start)
        for message in from_bytes(self.piece(start, end), 0, end - start, form, start):
            if whole or message.stamped:
                whole = True
                yield message

    def form(self, at: int) -> Form:
        """The form of the log around ``at``."""
        number = at // _FORM_BYTES
        if number not in self._forms:
            if len(self._forms) > _MOST_FORMS:
                self._forms.clear()
            begin = number * _FORM_BYTES
            lines = self.piece(begin - _FORM_BYTES // 4, begin + _FORM_BYTES * 5 // 4).split(b"\n")
            self._forms[number] = logform.learn([klog.plain_text(line[:_SAMPLED_BYTES]) for line in lines])
        return self._forms[number]

    def line_number(self, at: int) -> int:
        """The number of the line at ``at``, from 1."""
        return self._count(at).lines + 1

    def kernels(self, at: int) -> int:
        """How many banners of a kernel stand before ``at``, each at the beginning of a message."""
        return self._count(at).kernels

    def _count(self, at: int) -> _Counted:
        counted = self._counted if self._counted.at <= at else _Counted()
        while counted.at < at:
            end = min(at, counted.at + _PIECE_BYTES)
            data = self.log.read(counted.at, min(at, end + len(_BANNER) - 1))
            found = data.find(_BANNER)
            while found >= 0:
                counted.kernels += self._is_message(counted.at + found)
                found = data.find(_BANNER, found + 1)
            counted.lines += data.count(b"\n", 0, end - counted.at)
            counted.at = end
        self._counted = counted
        return counted

    def _is_message(self, at: int) -> bool:
        """Whether what stands before ``at`` in its line is decoration, or a kernel's stamp behind other words."""
        before = self.piece(max(self.line_start(at), at - 512), at)
        if _STAMP.search(before):
            return True
        text = klog.plain_text(before + b"|")[:-1]
        lead = self.form(at).prefix(text + "Linux version ")
        return lead.end >= len(text) or not text.strip()
