"""A crash: the capture kernel is loaded, the running one crashed, its memory written to a disk."""

from __future__ import annotations

from harness.model.kdump import CaptureOptions, CrashOptions
from harness.model.plan import EpochPlan
from harness.model.record import EndKind, Point
from harness.run.actions import kexec
from harness.run.stage import Stage


def load(stage: Stage, target: EpochPlan) -> None:
    """Load the capture kernel.

    Raises:
        EndedError: it could not be loaded, or the run ended.
    """
    kexec.load(stage, "load-crash", target)
    stage.sample(Point.LOADED)


def crash(stage: Stage, options: CrashOptions, _target: EpochPlan) -> None:
    """Crash the running kernel; returns when the guest agent says that it will.

    Raises:
        EndedError: the run ended.
    """
    stage.command("crash", {"by": options.by.value})
    stage.wait("crashing", stage.plan.budgets.reply_s, tolerate=(EndKind.PANIC,))


def capture(stage: Stage, options: CaptureOptions) -> None:
    """Write the vmcore.

    Raises:
        EndedError: it could not be written, or the run ended.
    """
    stage.command("capture", {"filter": "raw" if options.filter is None else str(options.filter)})
    stage.wait("captured", stage.plan.budgets.load_s)
