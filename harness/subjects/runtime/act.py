"""Calls of firmware that may go wrong, and what is left of the machine; the driver's logbook is read after each."""

from __future__ import annotations

from harness.model.record import EndKind
from harness.model.words.runtime import AliveStep, EfivarsStep, KexecRefusedStep, RebootStep, RuntimeStep
from harness.stage.logbook import read_logbook
from harness.stage.stage import EndedError, Stage

_TRIPS_A_SECOND = 20
"""Of the slowest host; measured under TCG: some 400."""


def _alive(stage: Stage, _step: AliveStep, _epoch: int) -> None:
    stage.command("alive")
    stage.wait("alive", 3 * stage.plan.budgets.reply_s)


def _kexec_refused(stage: Stage, step: KexecRefusedStep, epoch: int) -> None:
    """Try to load the next kernel by a call that must refuse it. On Xen there is none: dom0's own is tried."""
    target = stage.plan.epochs[min(epoch, len(stage.plan.epochs) - 1)]
    fields = {
        "syscall": step.kexec_refused.syscall.value,
        "kernel": target.kernel_serial,
        "kernel_size": str(target.kernel.size_bytes),
        "initrd": target.initrd_serial,
        "initrd_size": str(target.initrd_size_bytes),
    }
    stage.command("try-load", fields)
    stage.wait("tried", stage.plan.budgets.load_s)


def _call(stage: Stage, step: RuntimeStep, _epoch: int) -> None:
    options = step.runtime
    fields = {"call": options.call.value, "wait_s": str(options.wait_s)}
    if options.fault is not None:
        fields["fault"] = options.fault.value
    _ask(stage, "runtime", fields, "called", options.wait_s + stage.plan.budgets.reply_s)


def _efivars(stage: Stage, step: EfivarsStep, _epoch: int) -> None:
    round_trips = step.efivars.round_trips
    wait_s = round(stage.plan.budgets.reply_s + round_trips / _TRIPS_A_SECOND)
    fields = {"round_trips": str(round_trips), "wait_s": str(wait_s)}
    _ask(stage, "efivars", fields, "efivars", wait_s + stage.plan.budgets.reply_s)


def _ask(stage: Stage, command: str, fields: dict[str, str], answer: str, timeout_s: float) -> None:
    """A command, its answer, and the logbook: also when no answer comes, for then it says what firmware was doing."""
    read_logbook(stage)
    stage.command(command, fields)
    try:
        stage.wait(answer, timeout_s)
    except EndedError as ended:
        if ended.kind is not EndKind.QEMU_DIED:
            read_logbook(stage)
        raise
    read_logbook(stage)


def _reboot(stage: Stage, step: RebootStep, _epoch: int) -> None:
    """The machine must reset: QEMU, started with ``-action reboot=shutdown``, says SHUTDOWN guest-reset and stops.

    After a fault in ResetSystem a kernel may go to firmware's reset vector instead ("Reboot through BIOS"): then
    firmware runs again without a reset, and overwrites the logbook.
    """
    fields = {} if step.reboot.fault is None else {"fault": step.reboot.fault.value}
    read_logbook(stage)
    since = stage.cursor
    stage.command("reboot", fields)
    answer = stage.wait("rebooting", 2 * stage.plan.budgets.reply_s, tolerate=(EndKind.RESET,))
    if answer.fields.get("runtime") == "absent" or answer.fields.get("arm_errno", "0") != "0":
        return  # what keeps the fault from being armed is for the checks
    try:
        wanted = {EndKind.RESET} if step.reboot.fault is None else {EndKind.RESET, EndKind.BACK_IN_FIRMWARE}
        stage.ending(wanted, stage.plan.budgets.reply_s, since)
    except EndedError as ended:
        if ended.kind is not EndKind.QEMU_DIED:
            read_logbook(stage)
        raise
    read_logbook(stage)


ACTS = {
    RuntimeStep: _call,
    AliveStep: _alive,
    EfivarsStep: _efivars,
    RebootStep: _reboot,
    KexecRefusedStep: _kexec_refused,
}
