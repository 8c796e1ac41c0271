"""From power-on to the first kernel, and the first report of every kernel."""

from __future__ import annotations

from collections.abc import Iterable

from harness.evidence.defect import Defect
from harness.machine.frame import Frame
from harness.machine.registers import read_registers
from harness.model.plan import EpochPlan
from harness.model.record import ControlEntry, EndKind, Point
from harness.model.words.seams import PagingLevels
from harness.model.words.vitals import BootStep
from harness.record.observations import MadeRange
from harness.stage.stage import Stage
from harness.stage.watch import Unwatched, Watch
from harness.subjects.tables.act import late_tables, locate, locate_late
from harness.subjects.xen import act as xen


def firmware(stage: Stage, _step: BootStep, _epoch: int) -> None:
    """Firmware, then the EFI agent, up to the start of the first kernel.

    Raises:
        EndedError: it did not come so far.
    """
    timeout_s = stage.plan.budgets.firmware_s
    stage.wait("ready", timeout_s)
    stage.nudge(b"G", "go", timeout_s)
    stage.wait("handoff", timeout_s)
    memory = stage.machine.memory
    with memory.stopped():
        frames = [item.data for item in stage.machine.feed.since() if isinstance(item.data, Frame)]
        _watch(stage, locate(stage.plan, frames, memory.read))
        xen.prepare(stage, frames)
        for frame in frames:
            made = MadeRange.read(frame.fields) if frame.kind == "range" else None
            if made is not None and made.canary:
                stage.also[made.subject] = made.range
        stage.sample(Point.HANDOFF)
    stage.probe(Point.HANDOFF)
    stage.nudge(b"S", "start", timeout_s)


def begun(stage: Stage, epoch: EpochPlan) -> None:
    """The kernel of ``epoch`` has come as far as it goes by itself: to its guest agent's report, or without an initrd
    to its end.

    Raises:
        EndedError: it did not come so far.
    """
    if epoch.without_initrd:
        _rootless(stage)
    else:
        _up(stage, epoch)


def _up(stage: Stage, epoch: EpochPlan) -> None:
    """The kernel of ``epoch`` has booted and its guest agent reported.

    Raises:
        EndedError: it did not come so far.
    """
    budgets = stage.plan.budgets
    if epoch.number == 1:
        xen.hypervisor(stage)
    stage.wait("hello", budgets.boot_s if epoch.number == 1 else budgets.kexec_s)
    stage.wait("up", budgets.reply_s)
    if epoch.number == 1 and late_tables(stage.plan):
        lines = stage.observations().epoch_lines(epoch.number)
        _watch(stage, locate_late(stage.plan, lines, stage.machine.memory.read))
    stage.sample(Point.UP)
    if any(isinstance(item, PagingLevels) for item in stage.plan.scenario.expect):
        _keep_control(stage)


def _keep_control(stage: Stage) -> None:
    """The control registers of all CPUs. What cannot be read becomes a note: that it is missing is for the check."""
    with stage.machine.memory.stopped():
        cpus = read_registers(stage.machine.qmp)
    if isinstance(cpus, Defect):
        stage.recorder.note(f"no control registers: {cpus}")
        return
    entry = ControlEntry(
        t_s=stage.writer.now_s(),
        epoch=stage.recorder.epoch,
        point=Point.UP,
        cr4=tuple(cpu.cr4 for cpu in cpus),
    )
    stage.writer.append(entry)


def _rootless(stage: Stage) -> None:
    """A kernel without an initrd: it panics, at the latest where it would mount its root.

    Raises:
        EndedError: it did not, or the run ended otherwise.
    """
    stage.ending({EndKind.PANIC}, stage.plan.budgets.kexec_s, stage.cursor)
    stage.sample(Point.END)


def _watch(stage: Stage, located: Iterable[Watch | Unwatched]) -> None:
    for found in located:
        if isinstance(found, Watch):
            stage.watches.append(found)
        else:
            stage.recorder.note(found.reason, found.name)


ACTS = {BootStep: firmware}
