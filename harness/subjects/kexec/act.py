"""An ordinary kexec: load the next kernel, then jump."""

from __future__ import annotations

from harness.model.plan import EpochPlan
from harness.model.record import EndKind, Phase, Point
from harness.model.words.kexec import KexecStep
from harness.stage.stage import EndedError, Stage


def kexec(stage: Stage, _step: KexecStep, epoch: int) -> None:
    """Load the kernel of the epoch after ``epoch`` and jump into it.

    Raises:
        EndedError: it could not be loaded, or the run ended.
    """
    load(stage, "load", stage.plan.epochs[epoch])
    stage.sample(Point.LOADED)
    stage.command("exec")
    stage.wait("leaving", stage.plan.budgets.reply_s)


def load(stage: Stage, command: str, target: EpochPlan) -> None:
    """Have the guest agent load the kernel of ``target``.

    Raises:
        EndedError: it could not, or the run ended.
    """
    stage.recorder.enter(Phase.LOAD, f"{target.kernel.release}, {target.syscall}")
    fields = {
        "syscall": str(target.syscall),
        "kernel": target.kernel_serial,
        "kernel_size": str(target.kernel.size_bytes),
        "initrd": target.initrd_serial or "none",
        "initrd_size": str(target.initrd_size_bytes),
        "cmdline": target.cmdline,
    }
    stage.command(command, fields)
    loaded = stage.wait("loaded", stage.plan.budgets.load_s)
    if loaded.fields.get("rc") != "0":
        words = loaded.body.decode("utf-8", "backslashreplace").strip().splitlines()
        raise EndedError(
            EndKind.GUEST_ERROR,
            f"kexec could not load the next kernel (rc {loaded.fields.get('rc')}): {words[-1] if words else ''}",
        )


ACTS = {KexecStep: kexec}
