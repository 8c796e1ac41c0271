"""Runs one plan on a machine and records it. Does what the plan says, in order; judges nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.autopsy.perform import perform
from harness.errors import HarnessError, HostError, Interrupted, QemuError
from harness.firmware.varstore import make_varstore
from harness.machine.feed import Feed
from harness.machine.machine import LAST_WORDS_S, Machine
from harness.model import autopsy
from harness.model.plan import Plan
from harness.model.record import EndKind, Phase, Point, RunEnd
from harness.plan.planner import input_files
from harness.record.phases import captures
from harness.record.reasons import reason_of
from harness.record.store import RunWriter
from harness.stage import failures
from harness.stage.hostfault import silent_qemu, stopped_tpm
from harness.stage.listener import Listener
from harness.stage.recorder import Recorder
from harness.stage.stage import EndedError, Helpers, Stage
from harness.subjects.acts import ACTS
from harness.subjects.kdump import disk as vmcoredisk
from harness.subjects.vitals.act import begun
from harness.subjects.xen import disk as xendisk

_REAPED_S = 5.0
# Not BACK_IN_FIRMWARE: firmware runs there, and what led to it is gone with the reset.
_EXAMINED = frozenset({EndKind.TIMEOUT, EndKind.PANIC, EndKind.RESET, EndKind.POWEROFF, EndKind.HOST})


def run_plan(
    plan: Plan,
    directory: Path,
    listener: Listener,
    *,
    watch_feed: Callable[[Feed], None] = lambda _feed: None,
    helpers: Helpers | None = None,
) -> RunEnd:
    """Run a plan; ``directory`` (new) becomes its record, however the run ends.

    ``watch_feed`` is given the feed before QEMU starts, so that others can interrupt the run.

    Raises:
        HostError: the record itself cannot be written.
    """
    writer = RunWriter(directory, plan)
    recorder = Recorder(writer, listener, plan.variant, captures(plan))
    feed = Feed(started_s=writer.started_s, record=recorder)
    watch_feed(feed)
    kind, detail, status = EndKind.HOST, "the harness stopped", None
    try:
        _write_inputs(plan, directory)
        recorder.enter(Phase.START)
        inside_option = str(directory).replace(",", ",,")  # all places of {run} are inside QEMU options
        argv = [word.replace("{run}", inside_option) for word in plan.argv]
        with Machine.start(
            argv, directory, feed, nonce=plan.nonce, patterns=failures.PATTERNS, swtpm=plan.swtpm
        ) as machine:
            recorder.attach(machine.console)
            for note in machine.notes:
                recorder.note(note)
            kind, detail = _Run(Stage(plan, machine, recorder, writer, helpers)).to_the_end()
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
        try:
            vmcoredisk.leave(writer, recorder.epoch)
        except HostError as error:
            kind, detail = EndKind.HOST, error.message
        end = RunEnd(
            kind=kind,
            reason=reason_of(kind, detail),
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
        vmcoredisk.create(directory, plan.vmcore_disk_bytes)
        xendisk.create(directory, plan)
        for name, content in input_files(plan).items():
            (directory / name).write_bytes(content)
    except OSError as error:
        raise HostError(f"{directory}: cannot write QEMU's input files ({error.strerror})") from error


class _Run:
    """The epochs of one run, on a machine that is there."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._began = stage.clocks()

    def to_the_end(self) -> tuple[EndKind, str]:
        """Do every step; how it ended, in words."""
        stage = self._stage
        try:
            epoch = 0
            for step in stage.plan.scenario.steps:
                ACTS[type(step)](stage, step, epoch)
                if step.starts_next:
                    epoch += 1
                    begun(stage, stage.plan.epochs[epoch - 1])
        except EndedError as ended:
            stage.recorder.freeze()
            kind, detail = self._whose(ended)
            self._last_samples(kind)
            self._autopsy(kind)
            return kind, detail
        except QemuError as error:
            # QMP breaks off before QEMU is reaped: was it the end of QEMU, or is it still there and refuses?
            if stage.machine.process.wait(LAST_WORDS_S) is None:
                raise
            return EndKind.QEMU_DIED, f"QEMU ended: {error.message}"
        stage.recorder.enter(Phase.OFF, "every step done")
        return EndKind.COMPLETE, "every step was done"

    def _whose(self, ended: EndedError) -> tuple[EndKind, str]:
        """The end, when it was the guest's; else what the host did."""
        if ended.kind is EndKind.PORT_LOST:
            # Its ports are closed before QEMU is reaped, long before on a busy host.
            status = self._stage.machine.process.wait(_REAPED_S)
            return (ended.kind, ended.detail) if status is None else (EndKind.QEMU_DIED, f"QEMU ended ({status})")
        if ended.kind is not EndKind.TIMEOUT:
            return ended.kind, ended.detail
        skew = self._began.disagreement(self._stage.clocks())
        if skew:
            return EndKind.CLOCK_SKEW, f"{skew}; {ended.detail}"
        silent = silent_qemu(self._stage.machine) or stopped_tpm(self._stage.machine)
        return (EndKind.HOST, f"{silent}; {ended.detail}") if silent else (ended.kind, ended.detail)

    def _last_samples(self, kind: EndKind) -> None:
        """What the watched memory holds after a bad end, when QEMU can still be asked."""
        if kind is EndKind.QEMU_DIED or not (self._stage.watches or self._stage.also):
            return
        try:
            self._stage.sample(Point.END)
        except HostError as error:
            self._stage.recorder.note(f"no last samples: {error.message}")

    def _autopsy(self, kind: EndKind) -> None:
        """What the machine was doing, when it ended in a way that does not speak for itself."""
        if kind not in _EXAMINED:
            return
        stage = self._stage
        try:
            found = perform(
                stage.machine,
                stage.observations(),
                epoch=stage.recorder.epoch,
                naming=stage.naming,
                nmi=kind is EndKind.TIMEOUT,
            )
            stage.writer.document(autopsy.FILE, found)
        except HarnessError as error:
            stage.recorder.note(f"no autopsy: {error.message}")
