"""Standard output and standard error that never fail: a reader that goes away costs its output and nothing else.

A run must not end, and no verdict change, because ``head`` has seen enough, a disk is full, or a terminal was closed.
So what cannot be written is dropped and remembered, and the command says so at its end (:func:`outputs`).
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TextIO, cast

_GONE = frozenset({errno.EPIPE, errno.ECONNRESET})
"""The reader closed its end: it wants no more, and is not to be told."""


class Output(io.TextIOBase):
    """Text to ``stream``, whatever becomes of it. ``fault`` is the first error; nothing is written after it."""

    def __init__(self, stream: TextIO | None) -> None:
        """``stream``: None when the process was started without one (``>&-``)."""
        self._stream = stream
        self.fault: OSError | None = None
        self.spare = False
        """A command's exit code says all: what is lost here changes nothing."""

    def write(self, text: str) -> int:
        """Write, or drop. What the encoding cannot say is escaped."""
        if text and self.fault is None:
            self._try(text)
        return len(text)

    def flush(self) -> None:
        """Hand over what is buffered, or drop it."""
        if self.fault is None:
            self._try("")

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def fileno(self) -> int:
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has a plain attribute
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def lost(self) -> str:
        """Why output was lost without anybody wanting that, in a few words; empty when it was not."""
        if self.fault is None or self.fault.errno in _GONE:
            return ""
        return (self.fault.strerror or str(self.fault)).lower()

    def _try(self, text: str) -> None:
        if self._stream is None:
            if text:
                self.fault = OSError(errno.EBADF, "it is closed")
            return
        try:
            if text:
                self._write(self._stream, text)
            else:
                self._stream.flush()
        except OSError as error:
            self._give_up(error)
        except ValueError as error:  # Python's own word for a file that was closed
            self._give_up(OSError(errno.EBADF, str(error)))

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))

    def _give_up(self, error: OSError) -> None:
        self.fault = error
        # What is still buffered goes nowhere, or Python fails with it once more at its end, with exit code 120.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(nowhere, self.fileno())
            finally:
                os.close(nowhere)


@dataclass(frozen=True)
class Outputs:
    """The two of a command."""

    out: Output
    err: Output


@contextmanager
def outputs() -> Iterator[Outputs]:
    """Inside, ``sys.stdout`` and ``sys.stderr`` never raise; at the end both are flushed."""
    _fill_descriptors()
    before = sys.stdout, sys.stderr
    ours = Outputs(Output(sys.stdout), Output(sys.stderr))
    sys.stdout, sys.stderr = cast(TextIO, ours.out), cast(TextIO, ours.err)
    try:
        yield ours
    finally:
        ours.out.flush()
        ours.err.flush()
        sys.stdout, sys.stderr = before


def delivered(document: str) -> str:
    """Write a document to standard output, all of it.

    Returns:
        Why it did not get there, the reader's going away included; empty when it did.
    """
    sys.stdout.write(document)
    sys.stdout.flush()
    fault = getattr(sys.stdout, "fault", None)
    return (fault.strerror or str(fault)).lower() if fault is not None else ""


def _fill_descriptors() -> None:
    """A descriptor of 0 to 2 that is closed would be the next file's: a record's, with what QEMU prints in it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
