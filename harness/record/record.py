"""A run's record as the judge sees it: values and bytes, read on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from pydantic import ValidationError

from harness.model.autopsy import FILE, Autopsy
from harness.model.plan import Plan
from harness.model.record import (
    CommandEntry,
    Entry,
    EventEntry,
    FrameEntry,
    NoteEntry,
    PhaseEntry,
    RunEnd,
    SampleEntry,
)


class UnreadableRecordError(Exception):
    """A file of the record is missing or is not what its entry says; the judge makes ``bad-record`` of it."""


@dataclass(frozen=True)
class BigFile:
    """A file that is read in pieces, at any place, and never as a whole."""

    source: Callable[[int, int], bytes]
    """Offset and size to those bytes; fewer where the file ends."""
    size_bytes: int


@dataclass(frozen=True)
class Record:
    """Everything that happened in one run.

    ``read`` gives the bytes of a file of the run directory and ``read_payload`` a piece of a file the
    guest was given (None when it is no longer there); both keep the judge free of the file system.
    """

    plan: Plan
    end: RunEnd | None
    entries: tuple[Entry, ...]
    read: Callable[[str], bytes]
    read_payload: Callable[[str, int, int], bytes | None]
    big: Callable[[str], BigFile | None] = lambda _name: None
    """A file of the run directory that is too big for ``read`` (a vmcore), unchecked; None when it is not there."""
    close: Callable[[], None] = lambda: None
    """Closes the files that ``big`` has opened; for those who judge many records."""
    problems: tuple[str, ...] = ()
    """What is wrong with the record's own files (``end.json``, ``journal.jsonl``); such a record proves nothing."""

    @cached_property
    def console(self) -> bytes:
        """COM1, without what the autopsy itself made the guest print."""
        end = self.autopsy.undisturbed_bytes if self.autopsy is not None else None
        return self.read("console.log")[:end]

    @cached_property
    def autopsy(self) -> Autopsy | None:
        """What the machine was doing when the run had ended badly; None when nobody looked.

        Raises:
            UnreadableRecordError: there is one, but not as it was written.
        """
        if self.end is None or FILE not in self.end.files:
            return None
        try:
            return Autopsy.model_validate_json(self.read(FILE))
        except ValidationError as error:
            raise UnreadableRecordError(f"{FILE}: not an autopsy ({error.errors()[0]['msg']})") from error

    @cached_property
    def phases(self) -> tuple[PhaseEntry, ...]:
        return tuple(entry for entry in self.entries if isinstance(entry, PhaseEntry))

    @cached_property
    def samples(self) -> tuple[SampleEntry, ...]:
        return tuple(entry for entry in self.entries if isinstance(entry, SampleEntry))

    @cached_property
    def notes(self) -> tuple[NoteEntry, ...]:
        return tuple(entry for entry in self.entries if isinstance(entry, NoteEntry))

    @cached_property
    def events(self) -> tuple[EventEntry, ...]:
        return tuple(entry for entry in self.entries if isinstance(entry, EventEntry))

    @cached_property
    def commands(self) -> tuple[CommandEntry, ...]:
        return tuple(entry for entry in self.entries if isinstance(entry, CommandEntry))

    def sampled(self, sample: SampleEntry) -> bytes:
        """The bytes of a sample.

        Raises:
            UnreadableRecordError: the file is missing, or is not what was sampled.
        """
        data = self.read(sample.file)
        if len(data) != sample.pages_size_bytes:
            raise UnreadableRecordError(f"{sample.file}: {len(data)} bytes, {sample.pages_size_bytes} were sampled")
        if hashlib.sha256(data).hexdigest() != sample.sha256:
            raise UnreadableRecordError(f"{sample.file}: its SHA-256 is not the one that was noted when it was sampled")
        return data

    def frames(self, kind: str, epoch: int | None = None, **fields: str) -> Iterator[FrameEntry]:
        """Frames of this kind, in order, with all of these field values."""
        for entry in self.entries:
            if (
                isinstance(entry, FrameEntry)
                and entry.kind == kind
                and epoch in (None, entry.epoch)
                and all(entry.fields.get(key) == value for key, value in fields.items())
            ):
                yield entry

    def frame(self, kind: str, epoch: int | None = None, **fields: str) -> FrameEntry | None:
        """The first such frame."""
        return next(self.frames(kind, epoch, **fields), None)

    def body(self, frame: FrameEntry | None) -> bytes:
        """The body of a frame; empty when there is no frame or no body."""
        return self.read(frame.body_file) if frame is not None and frame.body_file else b""

    def fact(self, epoch: int, name: str) -> bytes | None:
        """What the guest reported under ``name`` in this epoch, or None when it did not."""
        frame = self.frame("fact", epoch, name=name)
        return None if frame is None else self.body(frame)

    def text(self, epoch: int, name: str) -> str | None:
        """A fact as text."""
        body = self.fact(epoch, name)
        return None if body is None else body.decode("utf-8", "backslashreplace")
