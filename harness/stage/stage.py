"""What the actions of a run stand on: the machine, the plan, waiting, commands and samples."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from harness.autopsy.atlas import Naming
from harness.clock import Deadline
from harness.evidence.ranges import Range
from harness.machine.feed import Failure, Success
from harness.machine.frame import Frame
from harness.machine.happenings import Happening
from harness.machine.machine import Machine
from harness.model.plan import Plan
from harness.model.record import CommandEntry, EndKind, Point
from harness.record.observations import MadeRange, Observations
from harness.record.store import RunWriter
from harness.stage import failures
from harness.stage.hostfault import Clocks
from harness.stage.patience import EXTENSION, EXTENSIONS, still_moving
from harness.stage.recorder import Recorder
from harness.stage.samples import write_down
from harness.stage.watch import Watch

T = TypeVar("T")


class EndedError(Exception):
    """The run is over before its last action."""

    def __init__(self, kind: EndKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True)
class Helpers:
    """What a run is given besides its plan."""

    naming: Naming = field(default_factory=Naming)
    probe: Callable[[Stage, Point], None] = lambda _stage, _point: None
    """Called at each border when the watched memory has been sampled and the CPUs run again."""
    clocks: Callable[[], Clocks] = Clocks.now
    """Looks at the host's clocks; another one in ``harness selftest``."""


class Stage:
    """One run's machine and record, and the cursor of what has been seen of it. For one thread."""

    def __init__(
        self, plan: Plan, machine: Machine, recorder: Recorder, writer: RunWriter, helpers: Helpers | None = None
    ) -> None:
        self.plan = plan
        self.machine = machine
        self.recorder = recorder
        self.writer = writer
        self.watches: list[Watch] = []
        self.also: dict[str, Range] = {}
        """Other memory that is sampled with the watched tables, by the subject's name."""
        self._helpers = helpers or Helpers()
        self._failure: failures.Predicate = recorder.failure
        self._cursor = 0
        self._kept: dict[tuple[str, str], str] = {}

    def command(self, name: str, fields: dict[str, str] | None = None) -> None:
        """Send a command to the guest agent."""
        fields = fields or {}
        self.writer.append(CommandEntry(t_s=self.writer.now_s(), epoch=self.recorder.epoch, name=name, fields=fields))
        self.machine.link.send_command(name, fields)

    def wait(self, kind: str, timeout_s: float, *, tolerate: Iterable[EndKind] = ()) -> Frame:
        """The next frame of this kind.

        Args:
            tolerate: ends that are expected here, so that they do not end the wait.

        Raises:
            EndedError: the run ended first, or the time ran out.
        """

        def success(happening: Happening) -> Frame | None:
            return happening.data if isinstance(happening.data, Frame) and happening.data.kind == kind else None

        return self.until(kind, success, timeout_s, tolerate=tolerate)

    def until(
        self,
        what: str,
        success: Callable[[Happening], T | None],
        timeout_s: float,
        *,
        tolerate: Iterable[EndKind] = (),
    ) -> T:
        """As ``wait``, for anything that can happen; ``what`` names it, as in "no 'hello' report"."""
        failure = self._failing(frozenset(tolerate))
        result = self.machine.feed.wait(success, failure, Deadline.after(timeout_s), self._cursor)
        waited_s = timeout_s
        for _ in range(EXTENSIONS):
            if isinstance(result, Success) or result.kind is not EndKind.TIMEOUT or not self._slow(what, waited_s):
                break
            waited_s += EXTENSION * timeout_s
            result = self.machine.feed.wait(success, failure, Deadline.after(EXTENSION * timeout_s), self._cursor)
            if isinstance(result, Failure) and result.kind is EndKind.TIMEOUT:
                result = replace(result, detail=f"nothing decisive in {waited_s:.1f} s")
        return self._ended_well(what, result)

    @property
    def cursor(self) -> int:
        """The place in the feed behind all that was waited for."""
        return self._cursor

    def ending(self, kinds: Collection[EndKind], timeout_s: float, since: int) -> str:
        """Wait until the machine ends itself in a way that is wanted; what it says of it.

        Args:
            kinds: the ways.
            since: the ``cursor`` from which on such an end counts.

        Raises:
            EndedError: it ended otherwise, or the time ran out.
        """

        def success(happening: Happening) -> str | None:
            found = self._failure(happening)
            return found.detail if found is not None and found.kind in kinds else None

        def failure(happening: Happening) -> Failure | None:
            found = self._failure(happening)
            return None if found is not None and found.kind in kinds else found

        result = self.machine.feed.wait(success, failure, Deadline.after(timeout_s), since)
        if isinstance(result, Failure):
            missing = f"no {' or '.join(sorted(kinds))}: " if result.kind is EndKind.TIMEOUT else ""
            raise EndedError(result.kind, missing + result.detail)
        self._cursor = result.cursor
        return result.value

    def nudge(self, byte: bytes, until_kind: str, timeout_s: float) -> None:
        """Send ``byte`` again and again until a frame of this kind comes.

        Raises:
            EndedError: as ``wait``.
        """
        deadline = Deadline.after(timeout_s)
        result = self.machine.link.nudge(byte, until_kind, self._failure, deadline, self._cursor)
        self._ended_well(until_kind, result)

    def sample(self, point: Point) -> None:
        """Read every watched table from outside, all at one moment."""
        with self.machine.memory.stopped():
            for watch in self.watches:
                self._sample(point, watch.name.value, watch.pages, watch.table)
            for subject, where in self.also.items():
                self._sample(point, subject, where, where)
        if not self.machine.memory.held:
            self.probe(point)

    def _sample(self, point: Point, subject: str, pages: Range, table: Range) -> None:
        data = self.machine.memory.read(pages.start, pages.size_bytes)
        kept = self._keep(f"{self.recorder.epoch}-{point}-{subject}", subject, data)
        write_down(self.writer, self.recorder.epoch, point, subject, pages=pages, table=table, kept=kept)

    def _keep(self, label: str, subject: str, data: bytes) -> tuple[str, str]:
        """The file and the SHA-256 of a sample. Canaries are large: the same bytes again are kept once."""
        seen = hashlib.sha256(data).hexdigest()
        if subject.startswith(MadeRange.PREFIX) and (subject, seen) in self._kept:
            return self._kept[subject, seen], seen
        file, sha256 = self.writer.sample(label, data)
        self._kept[subject, seen] = file
        return file, sha256

    def probe(self, point: Point) -> None:
        """Let a helper look at the machine, which runs, at a border. ``sample`` does it when it lets the CPUs go."""
        self._helpers.probe(self, point)

    def observations(self) -> Observations:
        """The record so far."""
        return Observations(self.writer.record())

    def clocks(self) -> Clocks:
        """The host's clocks, now."""
        return self._helpers.clocks()

    @property
    def naming(self) -> Naming:
        """Where names for code come from."""
        return self._helpers.naming

    def _slow(self, kind: str, waited_s: float) -> bool:
        """Is a guest that is late still at work? Says so in the record."""
        found = still_moving(self.machine, self.observations(), epoch=self.recorder.epoch, naming=self._helpers.naming)
        then = "it gets more time" if found.moving else "it gets no more time"
        self.recorder.note(f"no '{kind}' report in {waited_s:.1f} s; the guest was looked at: {found.why}; {then}")
        return found.moving

    def _failing(self, tolerate: frozenset[EndKind]) -> failures.Predicate:
        def failure(happening: Happening) -> Failure | None:
            found = self._failure(happening)
            return None if found is not None and found.kind in tolerate else found

        return failure if tolerate else self._failure

    def _ended_well(self, kind: str, result: Success[T] | Failure) -> T:
        if isinstance(result, Failure):
            detail = result.detail
            if result.kind is EndKind.TIMEOUT:
                detail = f"no '{kind}' report: {detail}"
            raise EndedError(result.kind, detail)
        self._cursor = result.cursor
        return result.value
