"""Calls of firmware out of a record: what was asked for, what the guest says came of it, and what the driver saw."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from harness.evidence import crash, logbook
from harness.evidence.crash import Crash, Severity
from harness.evidence.defect import Defect
from harness.evidence.klog import Line, lines
from harness.evidence.logbook import Logbook, ServiceLog
from harness.model.record import CommandEntry, FrameEntry, SampleEntry
from harness.model.words.driver import Fault, Service
from harness.record.observations import Observations

"""Subject of the samples of the driver's logbook (harness/subjects/runtime/act.py)."""
EINTR, EIO, EINVAL = 4, 5, 22
_ANSWERS = {"runtime": "called", "efivars": "efivars", "reboot": "rebooting"}
"""The frame that answers each command."""


@dataclass(frozen=True)
class Call:
    """One command that calls firmware, or would."""

    epoch: int
    command: CommandEntry
    service: Service
    fault: Fault | None
    answer: FrameEntry | None
    before: Logbook | Defect | None
    """The driver's logbook before the command; None where there is no driver, or it could not be read."""
    after: Logbook | Defect | None
    sample: SampleEntry | None
    """Of ``after``."""
    said: tuple[Line, ...]
    """The kernel's messages of the call; those of the epoch from the command on, where the guest did not answer."""
    said_in: str
    """The file they are in."""

    def field(self, name: str) -> str:
        """A field of the guest's answer; empty when there is none."""
        return self.answer.fields.get(name, "") if self.answer is not None else ""

    def number(self, name: str) -> int:
        """A decimal field of the answer.

        Raises:
            ValueError: it has none.
        """
        return int(self.field(name))

    @property
    def title(self) -> str:
        """For people."""
        wrong = f" with fault {self.fault}" if self.fault is not None else ""
        return f"{self.command.name if self.command.name == 'efivars' else self.service}{wrong}"

    @property
    def pages(self) -> tuple[Logbook, Logbook] | None:
        """The logbook before and after; None when one is missing or unreadable."""
        if isinstance(self.before, Logbook) and isinstance(self.after, Logbook):
            return self.before, self.after
        return None

    def delta(self, of: str) -> int | None:
        """By how much a counter of the service's log grew: ``runtime_calls``, ``faults``, ``survived``, ``returns``."""
        if self.pages is None:
            return None
        before, after = (book.services[self.service] for book in self.pages)
        grown: int = getattr(after, of) - getattr(before, of)
        return grown

    @property
    def log(self) -> ServiceLog | None:
        """What the hook saw last."""
        return self.after.services[self.service] if isinstance(self.after, Logbook) else None

    @property
    def crashes(self) -> tuple[Crash, ...]:
        """Panics, oopses and BUGs among the kernel's messages; no warnings."""
        return tuple(item for item in crash.find(self.said) if item.severity is not Severity.WARNING)

    def says(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """The first of its messages that matches."""
        return next((match for line in self.said if (match := pattern.search(line.text))), None)

    def where(self, line: int) -> str:
        return f"{self.said_in}:{line}"


def calls(observations: Observations) -> tuple[Call, ...]:
    """Every command of the record that calls firmware, in order."""
    found: list[Call] = []
    book: Logbook | Defect | None = None
    for entry in observations.record.entries:
        last = found[-1] if found else None
        if isinstance(entry, SampleEntry) and entry.subject == logbook.SAMPLE:
            book = logbook.parse(observations.record.sampled(entry))
            if last is not None and last.epoch == entry.epoch and last.sample is None:
                found[-1] = replace(last, after=book, sample=entry)
        elif isinstance(entry, CommandEntry) and entry.name in _ANSWERS:
            found.append(_asked(observations, entry, book))
        elif isinstance(entry, FrameEntry) and last is not None and _answers(entry, last):
            found[-1] = _answered(observations, last, entry)
    return tuple(found)


def _asked(observations: Observations, command: CommandEntry, book: Logbook | Defect | None) -> Call:
    service = Service.RESET_SYSTEM if command.name == "reboot" else Service(command.fields.get("call", "set-variable"))
    fault = command.fields.get("fault")
    said = observations.epoch_lines(command.epoch)
    return Call(
        epoch=command.epoch,
        command=command,
        service=service,
        fault=Fault(fault)
        if fault
        else observations.plan.runtime.armed.get(service)
        if observations.plan.runtime
        else None,
        answer=None,
        before=book,
        after=None,
        sample=None,
        said=said,
        said_in="console.log",
    )


def _answers(frame: FrameEntry, call: Call) -> bool:
    return call.answer is None and frame.epoch == call.epoch and frame.kind == _ANSWERS[call.command.name]


def _answered(observations: Observations, call: Call, frame: FrameEntry) -> Call:
    if frame.kind == "rebooting":  # it says so before it is done
        return replace(call, answer=frame)
    return replace(call, answer=frame, said=lines(observations.record.body(frame)), said_in=observations.cited(frame))
