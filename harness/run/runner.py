"""Runs one plan on a machine and records it. Does what the plan says, in order; judges nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.clock import Deadline
from harness.errors import HarnessError, HostError, Interrupted, QemuError
from harness.firmware.varstore import make_varstore
from harness.machine.feed import Failure, Feed, Happening, Success
from harness.machine.frame import Frame
from harness.machine.machine import LAST_WORDS_S, Machine
from harness.model.plan import EpochPlan, Plan
from harness.model.record import CommandEntry, EndKind, Phase, Point, RunEnd, SampleEntry
from harness.run import failures
from harness.run.listener import Listener
from harness.run.locate import Watch, locate
from harness.run.planner import input_files
from harness.run.recorder import BANNER, Recorder
from harness.run.store import RunWriter

_PATTERNS = {**failures.PATTERNS, BANNER: r"Linux version [^\r\n]*"}


class _EndedError(Exception):
    """The run is over before its last step."""

    def __init__(self, kind: EndKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


def run_plan(
    plan: Plan, directory: Path, listener: Listener, *, watch_feed: Callable[[Feed], None] = lambda _feed: None
) -> RunEnd:
    """Run a plan; ``directory`` (new) becomes its record, however the run ends.

    ``watch_feed`` is given the feed before QEMU starts, so that others can interrupt the run.

    Raises:
        HostError: the record itself cannot be written.
    """
    writer = RunWriter(directory, plan)
    recorder = Recorder(writer, listener, plan.variant)
    feed = Feed(started_s=writer.started_s, record=recorder)
    watch_feed(feed)
    kind, detail, status = EndKind.HOST, "the harness stopped", None
    try:
        _write_inputs(plan, directory)
        recorder.enter(Phase.START)
        inside_option = str(directory).replace(",", ",,")  # all places of {run} are inside QEMU options
        argv = [word.replace("{run}", inside_option) for word in plan.argv]
        with Machine.start(argv, directory, feed, nonce=plan.nonce, patterns=_PATTERNS) as machine:
            recorder.attach(machine.console)
            for note in machine.notes:
                recorder.note(note)
            kind, detail = _Run(plan, machine, recorder, writer).to_the_end()
            status = machine.process.status
    except Interrupted as error:
        kind, detail = EndKind.INTERRUPTED, error.message
    except QemuError as error:
        kind, detail, status = _qemu_fault(error)
    except HarnessError as error:
        kind, detail = EndKind.HOST, error.message
    except OSError as error:  # only the record is written without a translation, see Feed
        kind, detail = EndKind.HOST, f"the record cannot be written: {error.strerror or error}"
    finally:
        end = RunEnd(
            kind=kind,
            t_s=writer.now_s(),
            epoch=recorder.epoch,
            phase=recorder.phase,
            detail=detail,
            console_offset=recorder.console_offset,
            last_line=recorder.last_line,
            qemu_exit=status,
        )
        writer.finish(end)
    return end


def _qemu_fault(error: QemuError) -> tuple[EndKind, str, int | None]:
    """How a run ended whose QEMU did not start, or could not be talked to although it lives."""
    return (EndKind.HOST if error.status is None else EndKind.QEMU_DIED), error.message, error.status


def _write_inputs(plan: Plan, directory: Path) -> None:
    """The files that QEMU's arguments name inside the run directory, and those that every record has.

    Raises:
        HostError: they cannot be written.
    """
    try:
        for name in ("console.log", "qemu.stderr"):  # also in the record of a run whose QEMU never started
            (directory / name).touch()
        make_varstore(plan.firmware, directory / "vars.fd")
        for name, content in input_files(plan).items():
            (directory / name).write_bytes(content)
    except OSError as error:
        raise HostError(f"{directory}: cannot write QEMU's input files ({error.strerror})") from error


class _Run:
    """The steps of one run, on a machine that is there."""

    def __init__(self, plan: Plan, machine: Machine, recorder: Recorder, writer: RunWriter) -> None:
        self._plan = plan
        self._machine = machine
        self._recorder = recorder
        self._writer = writer
        self._failure = failures.failures(lambda: recorder.epoch)
        self._cursor = 0
        self._watches: list[Watch] = []

    def to_the_end(self) -> tuple[EndKind, str]:
        """Do every step; how it ended, in words."""
        try:
            self._firmware()
            for epoch, following in zip(self._plan.epochs, [*self._plan.epochs[1:], None], strict=True):
                self._up(epoch)
                if following is not None:
                    self._kexec(following)
        except _EndedError as ended:
            self._last_samples(ended.kind)
            return ended.kind, ended.detail
        except QemuError as error:
            # QMP breaks off before QEMU is reaped: was it the end of QEMU, or is it still there and refuses?
            if self._machine.process.wait(LAST_WORDS_S) is None:
                raise
            return EndKind.QEMU_DIED, f"QEMU ended: {error.message}"
        self._recorder.enter(Phase.OFF, "every step done")
        return EndKind.COMPLETE, "every step was done"

    def _firmware(self) -> None:
        deadline = Deadline.after(self._plan.budgets.firmware_s)
        self._wait("ready", deadline)
        self._nudge(b"G", "go", deadline)
        self._wait("handoff", deadline)
        with self._machine.memory.stopped():
            frames = [item.data for item in self._machine.feed.since() if isinstance(item.data, Frame)]
            for found in locate(self._plan, frames, self._machine.memory.read):
                if isinstance(found, Watch):
                    self._watches.append(found)
                else:
                    self._recorder.note(found)
            self._sample(Point.HANDOFF)
        self._nudge(b"S", "start", deadline)

    def _up(self, epoch: EpochPlan) -> None:
        budgets = self._plan.budgets
        self._wait("hello", Deadline.after(budgets.boot_s if epoch.number == 1 else budgets.kexec_s))
        self._wait("up", Deadline.after(budgets.reply_s))
        self._sample(Point.UP)

    def _kexec(self, target: EpochPlan) -> None:
        self._recorder.enter(Phase.LOAD, f"{target.kernel.release}, {target.syscall}")
        fields = {
            "syscall": str(target.syscall),
            "kernel": target.kernel_serial,
            "kernel_size": str(target.kernel.size_bytes),
            "initrd": target.initrd_serial,
            "initrd_size": str(target.initrd_size_bytes),
            "cmdline": target.cmdline,
        }
        self._command("load", fields)
        loaded = self._wait("loaded", Deadline.after(self._plan.budgets.load_s))
        if loaded.fields.get("rc") != "0":
            words = loaded.body.decode("utf-8", "backslashreplace").strip().splitlines()
            raise _EndedError(
                EndKind.GUEST_ERROR,
                f"kexec could not load the next kernel (rc {loaded.fields.get('rc')}): {words[-1] if words else ''}",
            )
        self._sample(Point.LOADED)
        self._command("exec", {})
        self._wait("leaving", Deadline.after(self._plan.budgets.reply_s))

    def _command(self, name: str, fields: dict[str, str]) -> None:
        self._writer.append(
            CommandEntry(t_s=self._writer.now_s(), epoch=self._recorder.epoch, name=name, fields=fields)
        )
        self._machine.link.send_command(name, fields)

    def _wait(self, kind: str, deadline: Deadline) -> Frame:
        def success(happening: Happening) -> Frame | None:
            return happening.data if isinstance(happening.data, Frame) and happening.data.kind == kind else None

        return self._ended_well(kind, self._machine.feed.wait(success, self._failure, deadline, self._cursor))

    def _nudge(self, byte: bytes, until_kind: str, deadline: Deadline) -> None:
        result = self._machine.link.nudge(byte, until_kind, self._failure, deadline, self._cursor)
        self._ended_well(until_kind, result)

    def _ended_well(self, kind: str, result: Success[Frame] | Failure) -> Frame:
        if isinstance(result, Failure):
            detail = result.detail
            if result.kind is EndKind.TIMEOUT:
                detail = f"no '{kind}' report: {detail}"
            raise _EndedError(result.kind, detail)
        self._cursor = result.cursor
        return result.value

    def _sample(self, point: Point) -> None:
        """Read every watched table from outside, all at one moment."""
        with self._machine.memory.stopped():
            for watch in self._watches:
                data = self._machine.memory.read(watch.pages.start, watch.pages.size_bytes)
                label = f"{self._recorder.epoch}-{point}-{watch.name}"
                file, sha256 = self._writer.sample(label, data)
                self._writer.append(
                    SampleEntry(
                        t_s=self._writer.now_s(),
                        epoch=self._recorder.epoch,
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

    def _last_samples(self, kind: EndKind) -> None:
        """What the watched memory holds after a bad end, when QEMU can still be asked."""
        if kind is EndKind.QEMU_DIED or not self._watches:
            return
        try:
            self._sample(Point.END)
        except HostError as error:
            self._recorder.note(f"no last samples: {error.message}")
