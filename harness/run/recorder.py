"""Writes down what the machine does while it does it, and keeps the epoch and phase it is in."""

from __future__ import annotations

import json

from harness.machine.console import Console
from harness.machine.feed import Event, Happening, Line, Match
from harness.machine.frame import Frame
from harness.model.record import EventEntry, FrameEntry, NoteEntry, Phase, PhaseEntry
from harness.run.listener import Listener
from harness.run.store import RunWriter

BANNER = "banner"
"""Name of the console pattern for a kernel's first line."""


class Recorder:
    """The feed's recorder: called with every happening, in order, before any wait can see it.

    Epoch and phase follow what is seen, not what the runner believes: events, frames and the kernel's banner move them.
    """

    def __init__(self, writer: RunWriter, listener: Listener, variant: str) -> None:
        self._writer = writer
        self._listener = listener
        self._variant = variant
        self._console: Console | None = None
        self.epoch = 0
        self.phase = Phase.START

    def attach(self, console: Console) -> None:
        """From now on phases know their place in the console."""
        self._console = console

    def __call__(self, happening: Happening) -> None:
        match happening.data:
            case Frame() as frame:
                self._frame(happening.t_s, frame)
            case Event(name, data):
                entry = EventEntry(t_s=happening.t_s, name=name, data=json.dumps(dict(data)))
                self._writer.append(entry)
                if name == "RESUME" and self.phase is Phase.START:
                    self.enter(Phase.FIRMWARE, t_s=happening.t_s)
            case Line(text=text):
                self._listener.line(self._variant, text)
            case Match(name=name, text=text) if name == BANNER and self.phase is not Phase.USERSPACE:
                self.enter(Phase.KERNEL, text.partition(" (")[0], happening.t_s)
            case _:
                pass

    def enter(self, phase: Phase, detail: str = "", t_s: float | None = None, *, epoch: int | None = None) -> None:
        """Begin a phase, and with it perhaps an epoch."""
        self.epoch = self.epoch if epoch is None else epoch
        self.phase = phase
        self._writer.append(
            PhaseEntry(
                t_s=self._writer.now_s() if t_s is None else t_s,
                phase=phase,
                epoch=self.epoch,
                console_offset=self.console_offset,
                detail=detail,
            )
        )
        self._listener.phase(self._variant, phase, self.epoch, detail)

    def note(self, text: str) -> None:
        """Something a reader should know."""
        self._writer.append(NoteEntry(t_s=self._writer.now_s(), epoch=self.epoch, text=text))

    @property
    def console_offset(self) -> int:
        return self._console.size_bytes if self._console is not None else 0

    @property
    def last_line(self) -> str:
        return self._console.last_line if self._console is not None else ""

    def _frame(self, t_s: float, frame: Frame) -> None:
        # A guest is in the next epoch from the moment it says it leaves: everything printed after that belongs there.
        if frame.kind == "ready" and self.phase in (Phase.START, Phase.FIRMWARE):
            if self.phase is Phase.START:  # QMP and link are read by two threads
                self.enter(Phase.FIRMWARE, t_s=t_s)
            self.enter(Phase.AGENT, t_s=t_s)
        elif frame.kind == "start":
            self.enter(Phase.KERNEL, "started by the EFI agent", t_s, epoch=1)
        elif frame.kind == "hello":
            self.enter(Phase.USERSPACE, frame.fields.get("release", ""), t_s)
        body_file = None
        if frame.body:
            label = frame.fields.get("name", frame.kind)
            body_file = self._writer.body(f"{self.epoch}-{label}", frame.body)
        self._writer.append(
            FrameEntry(t_s=t_s, epoch=self.epoch, kind=frame.kind, fields=dict(frame.fields), body_file=body_file)
        )
        if frame.kind == "leaving":
            self.enter(Phase.JUMP, t_s=t_s, epoch=self.epoch + 1)
