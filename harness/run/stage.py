"""What the actions of a run stand on: the machine, the plan, waiting, commands and samples."""

from __future__ import annotations

from collections.abc import Iterable

from harness.clock import Deadline
from harness.machine.feed import Failure, Happening, Success
from harness.machine.frame import Frame
from harness.machine.machine import Machine
from harness.model.plan import Plan
from harness.model.record import CommandEntry, EndKind, Point, SampleEntry
from harness.run import failures
from harness.run.locate import Watch
from harness.run.recorder import Recorder
from harness.run.store import RunWriter


class EndedError(Exception):
    """The run is over before its last action."""

    def __init__(self, kind: EndKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class Stage:
    """One run's machine and record, and the cursor of what has been seen of it. For one thread."""

    def __init__(self, plan: Plan, machine: Machine, recorder: Recorder, writer: RunWriter) -> None:
        self.plan = plan
        self.machine = machine
        self.recorder = recorder
        self.writer = writer
        self.watches: list[Watch] = []
        self._failure = failures.failures(lambda: recorder.epoch)
        self._cursor = 0

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

        deadline = Deadline.after(timeout_s)
        failure = self._failing(frozenset(tolerate))
        return self._ended_well(kind, self.machine.feed.wait(success, failure, deadline, self._cursor))

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
                data = self.machine.memory.read(watch.pages.start, watch.pages.size_bytes)
                label = f"{self.recorder.epoch}-{point}-{watch.name}"
                file, sha256 = self.writer.sample(label, data)
                self.writer.append(
                    SampleEntry(
                        t_s=self.writer.now_s(),
                        epoch=self.recorder.epoch,
                        point=point,
                        subject=watch.name.value,
                        address=watch.pages.start,
                        size_bytes=watch.pages.size_bytes,
                        table_address=watch.table.start,
                        table_size_bytes=watch.table.size_bytes,
                        file=file,
                        sha256=sha256,
                    )
                )

    def _failing(self, tolerate: frozenset[EndKind]) -> failures.Predicate:
        def failure(happening: Happening) -> Failure | None:
            found = self._failure(happening)
            return None if found is not None and found.kind in tolerate else found

        return failure if tolerate else self._failure

    def _ended_well(self, kind: str, result: Success[Frame] | Failure) -> Frame:
        if isinstance(result, Failure):
            detail = result.detail
            if result.kind is EndKind.TIMEOUT:
                detail = f"no '{kind}' report: {detail}"
            raise EndedError(result.kind, detail)
        self._cursor = result.cursor
        return result.value
