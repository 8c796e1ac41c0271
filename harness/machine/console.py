"""COM1: drained at once into console.log, the feed, and a pexpect queue."""

from __future__ import annotations

import codecs
import io
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pexpect
from pexpect.spawnbase import SpawnBase

from harness import clock
from harness.clock import Deadline
from harness.errors import InputError
from harness.machine.feed import Feed
from harness.machine.happenings import Line, Match, Source
from harness.machine.port import Port, cannot_write

WINDOW_CHARS = 16384
"""How far back patterns are searched. For 1 MB pexpect needs 0.08 s with it, 1.9 s with its defaults."""
MAX_READ_CHARS = WINDOW_CHARS // 2
"""Of a read longer than its window pexpect (4.9, Expecter.new_data) searches only the end, and a match in front of
it is lost in silence; half of the window also leaves room to look back for a pattern over two reads."""
BACKLOG_CHARS = 4 * 2**20
"""Text that waits for expect(); what is older is dropped from the queue, never from console.log."""
MAX_LINE_BYTES = 4096
"""A longer line goes to the feed in pieces."""
BLOCK_S = 0.01
"""Bytes that come within this time are one block of console.times."""
PARTIAL_S = 0.25
"""How long matching waits for the end of a line, so that a pattern sees whole lines."""

_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[^\[]|[\r\0]")
_ESCAPE_BEGUN = re.compile(r"\x1b(\[[0-?]*[ -/]*)?$")

if TYPE_CHECKING:
    _Spawn = SpawnBase[str]
else:
    _Spawn = SpawnBase  # generic only in its stubs


class Console(_Spawn):
    """A pexpect object on the serial console, with the reading done elsewhere.

    ``expect()`` sees the text without escape sequences, NUL and carriage return, decoded as UTF-8. When ``patterns``
    are given a thread of its own runs it, and each match goes to the feed; nobody else may call it then.

    Args:
        patterns: name to regular expression; ``^`` and ``$`` match at lines, ``.`` not beyond one.

    Raises:
        HostError: a log cannot be created.
        InputError: a pattern is no regular expression.
    """

    def __init__(self, feed: Feed, directory: Path, patterns: Mapping[str, str] | None = None) -> None:
        self._before: io.StringIO
        super().__init__(timeout=30, maxread=MAX_READ_CHARS, searchwindowsize=WINDOW_CHARS, encoding="utf-8")
        self.delayafterread = None  # no sleep after each read
        self.size_bytes = 0
        """Bytes of console.log so far."""
        self.dropped_chars = 0
        """Text that expect() never saw, because nobody called it in time."""
        self._feed = feed
        self._patterns = _compile(patterns or {})
        self._rest = b""
        self._last_text = ""
        self._block_s = float("-inf")
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = ""
        self._ready = threading.Condition()
        self._queue: list[str] = []
        self._queued_chars = 0
        self._queued_line = False
        self._ended = False
        self._times_path = directory / "console.times"
        self.port = Port(Source.CONSOLE, feed, directory / "console.log", self._deliver)
        try:
            self._times = self._times_path.open("w", encoding="ascii", buffering=1)
        except OSError as error:
            self.port.close()
            raise cannot_write(self._times_path, error) from error
        self._watcher = threading.Thread(target=self._watch, name="console-watcher", daemon=True)

    def start(self) -> None:
        """Begin to drain and to watch."""
        self.port.start()
        if self._patterns:
            self._watcher.start()

    def stop(self) -> None:
        """End draining and watching and close the logs, after the last byte that is already here."""
        self.port.close()
        with self._ready:
            self._ended = True
            self._ready.notify_all()
        if self._watcher.is_alive():
            self._watcher.join()
        self._times.close()

    @property
    def last_line(self) -> str:
        """The last line that is not empty, also while it is still being written; cleaned as Line.text is."""
        return _clean(self._rest) or self._last_text

    def send(self, text: str) -> int:
        """Type ``text``; returns the bytes sent, 0 when QEMU is gone.

        Raises:
            QemuError: QEMU takes no bytes.
        """
        data = text.encode()
        return len(data) if self.port.send(data) else 0

    def read_nonblocking(self, size: int = 1, timeout: float | None = None) -> str:
        """At most ``size`` characters for expect(): whole lines, or what has waited PARTIAL_S for its line end.

        Raises:
            pexpect.TIMEOUT: nothing came in ``timeout`` seconds (-1: the default of this object).
            pexpect.EOF: the port is closed and everything was read.
        """
        if timeout == -1:
            timeout = self.timeout
        deadline = Deadline(float("inf")) if timeout is None else Deadline.after(timeout)
        with self._ready:
            while not self._queue and not self._ended:
                if deadline.expired:
                    raise pexpect.TIMEOUT("no output of the console")
                self._ready.wait(None if timeout is None else deadline.remaining_s)
            line_end = deadline.sooner(PARTIAL_S)
            while not (self._queued_line or self._ended or line_end.expired):
                self._ready.wait(line_end.remaining_s)
            text = self._take(size)
        if not text:
            self.flag_eof = True
            raise pexpect.EOF("the console is closed")
        self._bound_before()
        return text

    def _take(self, size: int) -> str:
        text = "".join(self._queue)
        cut = min(size, text.rfind("\n", 0, size) + 1 or len(text))
        rest = text[cut:]
        self._queue = [rest] if rest else []
        self._queued_chars = len(rest)
        self._queued_line = "\n" in rest
        return text[:cut]

    def _bound_before(self) -> None:
        """Forget old unmatched text: SpawnBase keeps everything since the last match for its ``before``."""
        unmatched: io.StringIO = self._before
        if unmatched.tell() > BACKLOG_CHARS:
            self._before = io.StringIO()
            self._before.write(unmatched.getvalue()[-2 * WINDOW_CHARS :])

    def _deliver(self, data: bytes) -> None:
        """In the drain thread: one block of bytes, empty at the end."""
        now_s = clock.now_s()
        if data and now_s - self._block_s >= BLOCK_S:
            self._block_s = now_s
            self._time(now_s)
        self.size_bytes += len(data)
        self._lines(data)
        self._enqueue(self._plain(data), at_end=not data)

    def _time(self, now_s: float) -> None:
        try:
            self._times.write(f"{now_s - self._feed.started_s:.3f} {self.size_bytes}\n")
        except OSError as error:
            self._feed.fail(cannot_write(self._times_path, error))

    def _lines(self, data: bytes) -> None:
        offset = self.size_bytes - len(data) - len(self._rest)
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line, offset)
            offset += len(line) + 1
        if len(rest) >= MAX_LINE_BYTES or not data:
            self._line(rest, offset)
            rest = b""
        self._rest = rest

    def _line(self, line: bytes, offset: int) -> None:
        for start in range(0, len(line), MAX_LINE_BYTES):
            text = _clean(line[start : start + MAX_LINE_BYTES])
            if text:
                self._last_text = text
                self._feed.push(Source.CONSOLE, Line(text, offset + start))

    def _plain(self, data: bytes) -> str:
        """The block's text for matching; an escape sequence cut in two waits for its other half."""
        text = self._begun + self._utf8.decode(data, final=not data)
        begun = _ESCAPE_BEGUN.search(text, max(0, len(text) - 64)) if data else None
        self._begun = begun[0] if begun else ""
        return _ESCAPE.sub("", text.removesuffix(self._begun))

    def _enqueue(self, text: str, *, at_end: bool) -> None:
        if not text and not at_end:
            return
        with self._ready:
            wake = at_end or not self._queue or "\n" in text
            if text:
                self._queue.append(text)
            self._queued_chars += len(text)
            self._queued_line = self._queued_line or "\n" in text
            self._ended = self._ended or at_end
            if self._queued_chars > BACKLOG_CHARS:
                kept = "".join(self._queue)[-BACKLOG_CHARS // 2 :]
                self.dropped_chars += self._queued_chars - len(kept)
                self._queue, self._queued_chars, self._queued_line = [kept], len(kept), "\n" in kept
            if wake:
                self._ready.notify_all()

    def _watch(self) -> None:
        names = list(self._patterns)
        wanted: list[Any] = [*self._patterns.values(), pexpect.EOF]
        while (index := self.expect(wanted, timeout=None)) < len(names):
            before = str(self.before).rpartition("\n")[2]
            self._feed.push(Source.CONSOLE, Match(names[index], str(self.after), before, self.size_bytes))


def _clean(line: bytes) -> str:
    return _ESCAPE.sub("", line.decode("utf-8", "replace")).strip()


def _compile(patterns: Mapping[str, str]) -> dict[str, re.Pattern[str]]:
    compiled = {}
    for name, pattern in patterns.items():
        try:
            compiled[name] = re.compile(pattern, re.MULTILINE)
        except re.error as error:
            raise InputError(f"console pattern {name!r} is no regular expression: {error}") from error
    return compiled
