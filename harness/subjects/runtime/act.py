"""Calls of firmware that may go wrong, and what is left of the machine; the driver's logbook is read after each."""

from __future__ import annotations

from harness.model.actions import AliveAction, EfivarsAction, KexecRefusedAction, RebootAction, RuntimeAction
from harness.model.plan import EpochPlan
from harness.model.record import EndKind
from harness.stage.logbook import read_logbook
from harness.stage.stage import EndedError, Stage

_TRIPS_A_SECOND = 20
"""Of the slowest host; measured under TCG: some 400."""

RuntimeActions = RuntimeAction | AliveAction | EfivarsAction | RebootAction


def do(stage: Stage, action: RuntimeActions) -> None:
    """One action.

    Raises:
        EndedError: the guest did not answer, or the run ended.
    """
    match action:
        case RuntimeAction():
            _call(stage, action)
        case EfivarsAction():
            _efivars(stage, action.round_trips)
        case AliveAction():
            stage.command("alive")
            stage.wait("alive", 3 * stage.plan.budgets.reply_s)
        case RebootAction():
            _reboot(stage, action)


def kexec_refused(stage: Stage, action: KexecRefusedAction, target: EpochPlan) -> None:
    """Try to load the kernel of ``target`` by a call that must refuse it.

    Raises:
        EndedError: the guest did not answer, or the run ended.
    """
    fields = {
        "syscall": action.syscall.value,
        "kernel": target.kernel_serial,
        "kernel_size": str(target.kernel.size_bytes),
        "initrd": target.initrd_serial,
        "initrd_size": str(target.initrd_size_bytes),
    }
    stage.command("try-load", fields)
    stage.wait("tried", stage.plan.budgets.load_s)


def _call(stage: Stage, action: RuntimeAction) -> None:
    options = action.runtime
    fields = {"call": options.call.value, "wait_s": str(options.wait_s)}
    if options.fault is not None:
        fields["fault"] = options.fault.value
    _ask(stage, "runtime", fields, "called", options.wait_s + stage.plan.budgets.reply_s)


def _efivars(stage: Stage, round_trips: int) -> None:
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


def _reboot(stage: Stage, action: RebootAction) -> None:
    """The machine must reset: QEMU, started with ``-action reboot=shutdown``, says SHUTDOWN guest-reset and stops.

    After a fault in ResetSystem a kernel may go to firmware's reset vector instead ("Reboot through BIOS"): then
    firmware runs again without a reset, and overwrites the logbook.
    """
    fields = {} if action.reboot.fault is None else {"fault": action.reboot.fault.value}
    read_logbook(stage)
    since = stage.cursor
    stage.command("reboot", fields)
    answer = stage.wait("rebooting", 2 * stage.plan.budgets.reply_s, tolerate=(EndKind.RESET,))
    if answer.fields.get("runtime") == "absent" or answer.fields.get("arm_errno", "0") != "0":
        return  # what keeps the fault from being armed is for the checks
    try:
        wanted = {EndKind.RESET} if action.reboot.fault is None else {EndKind.RESET, EndKind.BACK_IN_FIRMWARE}
        stage.ending(wanted, stage.plan.budgets.reply_s, since)
    except EndedError as ended:
        if ended.kind is not EndKind.QEMU_DIED:
            read_logbook(stage)
        raise
    read_logbook(stage)
