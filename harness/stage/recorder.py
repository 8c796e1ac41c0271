"""Writes down what the machine does while it does it, and keeps the epoch and phase it is in."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

from harness.machine.console import Console
from harness.machine.feed import Failure
from harness.machine.frame import Frame
from harness.machine.happenings import Event, Happening, Line
from harness.model.record import EventEntry, FrameEntry, NoteEntry, Phase, PhaseEntry
from harness.model.words.tables import TableName
from harness.record.phases import Entered, State, step
from harness.record.store import RunWriter
from harness.stage import failures
from harness.stage.listener import Listener


class Recorder:
    """The feed's recorder: called with every happening, in order, before any wait can see it.

    Epoch and phase follow what is seen, not what the runner believes (harness/record/phases.py). Whether a happening
    ends the run is found here too, with the phase it came in: a wait looks at it later, when the phase may be another.
    """

    def __init__(
        self, writer: RunWriter, listener: Listener, variant: str, captures: frozenset[int] = frozenset()
    ) -> None:
        """``captures``: the epochs that a crash begins (``phases.captures``)."""
        self._writer = writer
        self._listener = listener
        self._variant = variant
        self._console: Console | None = None
        self._frozen: tuple[int, str] | None = None
        self._offset = 0
        self._state = State(captures=captures)
        self._failures: dict[int, Failure] = {}
        self._lock = threading.RLock()

    @property
    def epoch(self) -> int:
        return self._state.epoch

    @property
    def phase(self) -> Phase:
        return self._state.phase

    def attach(self, console: Console) -> None:
        """From now on phases know their place in the console."""
        self._console = console

    def __call__(self, happening: Happening) -> None:
        with self._lock:
            before = self._state
            entered: tuple[Entered, ...] = ()
            if self._frozen is None:
                after, entered = step(before, happening.data)
                self._state = after
                failed = failures.failure(before, after, happening)
                if failed is not None:
                    self._failures[id(happening)] = failed  # the feed keeps it, so its id is its own
            self._write(happening, before, entered)

    def failure(self, happening: Happening) -> Failure | None:
        """Does this happening end a wait badly? (``failures.Predicate``)"""
        return self._failures.get(id(happening))

    def enter(self, phase: Phase, detail: str = "") -> None:
        """Begin a phase that nothing from the machine shows."""
        with self._lock:
            if self._frozen is None:
                self._state = replace(self._state, phase=phase)
                self._enter(Entered(phase, self._state.epoch, detail), self._writer.now_s(), self.console_offset)

    def freeze(self) -> None:
        """The run has its end: epoch, phase and place in the console stay, whatever the guest does from now on."""
        with self._lock:
            self._frozen = (self.console_offset, self.last_line)

    def note(self, text: str, table: TableName | None = None) -> None:
        """Something a reader should know; with ``table``, why that one is not watched."""
        self._writer.append(NoteEntry(t_s=self._writer.now_s(), epoch=self.epoch, text=text, table=table))

    @property
    def console_offset(self) -> int:
        if self._frozen is not None:
            return self._frozen[0]
        return self._console.size_bytes if self._console is not None else 0

    @property
    def last_line(self) -> str:
        if self._frozen is not None:
            return self._frozen[1]
        return self._console.last_line if self._console is not None else ""

    def _write(self, happening: Happening, before: State, entered: tuple[Entered, ...]) -> None:
        """Into the journal: a frame belongs to the phase it begins, but for the farewell of a kernel."""
        match happening.data:
            case Frame(kind="leaving") as frame:
                self._frame(happening.t_s, before.epoch, frame)
                self._enter_all(entered, happening.t_s, self.console_offset)
            case Frame() as frame:
                self._enter_all(entered, happening.t_s, self.console_offset)
                self._frame(happening.t_s, self.epoch, frame)
            case Event(name, data):
                self._writer.append(EventEntry(t_s=happening.t_s, name=name, data=json.dumps(dict(data))))
                self._enter_all(entered, happening.t_s, self.console_offset)
            case Line(text, offset):
                self._listener.line(self._variant, text)
                # More than this line may have come in with it.
                self._enter_all(entered, happening.t_s, offset)
            case _:
                self._enter_all(entered, happening.t_s, self.console_offset)

    def _enter_all(self, entered: tuple[Entered, ...], t_s: float, console_offset: int) -> None:
        for item in entered:
            self._enter(item, t_s, console_offset)

    def _enter(self, item: Entered, t_s: float, console_offset: int) -> None:
        self._offset = max(self._offset, console_offset)
        self._writer.append(
            PhaseEntry(t_s=t_s, phase=item.phase, epoch=item.epoch, console_offset=self._offset, detail=item.detail)
        )
        self._listener.phase(self._variant, item.phase, item.epoch, item.detail)

    def _frame(self, t_s: float, epoch: int, frame: Frame) -> None:
        body_file = None
        if frame.body:
            body_file = self._writer.body(f"{epoch}-{frame.fields.get('name', frame.kind)}", frame.body)
        self._writer.append(
            FrameEntry(t_s=t_s, epoch=epoch, kind=frame.kind, fields=dict(frame.fields), body_file=body_file)
        )
