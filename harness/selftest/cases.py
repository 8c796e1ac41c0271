"""The damage classes, and the verdict that each must get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.model.causes import Cause, Status
from harness.model.plan import Plan
from harness.model.record import Phase
from harness.model.verdict import Verdict
from harness.selftest import damage
from harness.selftest.damage import RAM, Damage

_BOOT_FACTOR = 0.03
"""Of the budget for a boot or a jump, in cases that wait for it to end: it is some thirty times what a small kernel
needs."""


@dataclass(frozen=True)
class Expected:
    """A verdict, in its three words; ``epoch`` None for any."""

    status: Status
    cause: Cause | None = None
    epoch: int | None = None

    def met_by(self, verdict: Verdict) -> bool:
        return (verdict.status, verdict.cause) == (self.status, self.cause) and self.epoch in (None, verdict.epoch)

    def __str__(self) -> str:
        epoch = "" if self.epoch is None else f" in epoch {self.epoch}"
        return f"{self.status}{f' {self.cause}' if self.cause else ''}{epoch}"


@dataclass(frozen=True)
class Case:
    """One injection."""

    name: str
    what: str
    expected: Expected
    detectors: tuple[str, ...] = ()
    """The checks that see it: without them the verdict must be another one. Empty where a PASS is right."""
    kexec: bool = False
    """Two kernels, the second by kexec_file_load; else one."""
    kdump: bool = False
    """Two kernels, the second captures the memory of the first, which is crashed."""
    quick: bool = False
    plan: Callable[[Plan], Plan] = lambda plan: plan
    """Damage that is done before the start."""
    at: tuple[Phase, int] | None = None
    """The phase and epoch whose begin the damage waits for."""
    at_loaded: bool = False
    """Or: when the next kernel is loaded."""
    damage: Damage | None = None
    wall_jump_s: float = 0.0
    """By how much the host's wall clock is set during the run."""


def _boot_soon(plan: Plan) -> Plan:
    budgets = plan.budgets.model_copy(update={"boot_s": _BOOT_FACTOR * plan.budgets.boot_s})
    return plan.model_copy(update={"budgets": budgets})


def _jump_soon(plan: Plan) -> Plan:
    budgets = plan.budgets.model_copy(update={"kexec_s": _BOOT_FACTOR * plan.budgets.kexec_s})
    size = plan.scenario.machine.memory
    backend = f"memory-backend-file,id=ram,size={size},mem-path={{run}}/{RAM},share=on"
    argv = (*plan.argv, "-object", backend, "-machine", "memory-backend=ram")
    return plan.model_copy(update={"budgets": budgets, "argv": argv})


def _cmdline(number: int, old: str, new: str) -> Callable[[Plan], Plan]:
    def edit(plan: Plan) -> Plan:
        epochs = [
            epoch.model_copy(update={"cmdline": epoch.cmdline.replace(old, new)}) if epoch.number == number else epoch
            for epoch in plan.epochs
        ]
        return plan.model_copy(update={"epochs": tuple(epochs)})

    return edit


def _reset_restarts(plan: Plan) -> Plan:
    argv = tuple(word.replace("reboot=shutdown,", "reboot=reset,") for word in plan.argv)
    return plan.model_copy(update={"argv": argv})


def _other_clock(plan: Plan) -> Plan:
    return plan.model_copy(update={"argv": (*plan.argv, "-rtc", "base=1999-12-31T23:59:50")})


_FAIL, _ERROR = Status.FAIL, Status.ERROR
_KERNEL_1, _USER_1 = (Phase.KERNEL, 1), (Phase.USERSPACE, 1)
_TABLE = "table_intact: esrt"

CASES: tuple[Case, ...] = (
    Case("nothing", "two kernels, and no damage at all", Expected(Status.PASS), kexec=True, quick=True),
    Case(
        "guest-clock",
        "the guest's clock is years behind and turns the century",
        Expected(Status.PASS),
        plan=_other_clock,
    ),
    Case(
        "table-byte",
        "one bit of a table is flipped while a kernel runs",
        Expected(_FAIL, Cause.ESRT_CORRUPT, 1),
        detectors=(_TABLE,),
        kexec=True,
        quick=True,
        at=(Phase.LOAD, 1),
        damage=damage.flip_table_byte,
    ),
    Case(
        "canary",
        "one bit beside a table is flipped while a kernel boots",
        Expected(_FAIL, Cause.CANARY_DAMAGED, 1),
        detectors=(_TABLE,),
        at=_KERNEL_1,
        damage=damage.flip_canary,
    ),
    Case(
        "reset",
        "the machine is reset behind the kernel's back",
        Expected(_FAIL, Cause.RESET, 1),
        detectors=("run",),
        quick=True,
        at=_KERNEL_1,
        damage=damage.reset,
    ),
    Case(
        "silent-reset",
        "the machine is reset before the kernel has said a word",
        Expected(_FAIL, Cause.SILENT_RESET, 1),
        detectors=("run",),
        at=(Phase.STUB, 1),
        damage=damage.reset,
    ),
    Case(
        "triple-fault",
        "the processor resets the machine",
        Expected(_FAIL, Cause.TRIPLE_FAULT, 1),
        detectors=("run",),
        quick=True,
        at=_KERNEL_1,
        damage=damage.triple_fault,
    ),
    Case(
        "back-in-firmware",
        "a reset starts firmware again",
        Expected(_FAIL, Cause.BACK_IN_FIRMWARE, 1),
        detectors=("run",),
        plan=_reset_restarts,
        at=_KERNEL_1,
        damage=damage.reset,
    ),
    Case(
        "old-kernel",
        "the kexec'ed kernel is the old one",
        Expected(_FAIL, Cause.OLD_KERNEL, 2),
        detectors=("identity",),
        kexec=True,
        quick=True,
        plan=_cmdline(2, "harness.epoch=2", "harness.epoch=1"),
    ),
    Case(
        "purgatory",
        "the next kernel is changed between its loading and the jump",
        Expected(_FAIL, Cause.PURGATORY_FAILED, 2),
        detectors=("run",),
        kexec=True,
        plan=_jump_soon,
        at_loaded=True,
        damage=damage.spoil_next_kernel,
    ),
    Case(
        "hang",
        "the kernel loops with interrupts off",
        Expected(_FAIL, Cause.HANG, 1),
        detectors=("run",),
        plan=_boot_soon,
        at=_KERNEL_1,
        damage=damage.hang,
    ),
    Case(
        "panic",
        "the kernel finds no init",
        Expected(_FAIL, Cause.PANIC, 1),
        detectors=("run", "no_crash"),
        plan=_cmdline(1, "console=", "rdinit=/nothing init=/nothing console="),
    ),
    Case(
        "silent-panic",
        "the guest says that it panicked, and prints nothing",
        Expected(_FAIL, Cause.SILENT_PANIC, 1),
        detectors=("run",),
        at=_KERNEL_1,
        damage=damage.say_panicked,
    ),
    Case(
        "no-console",
        "the kernel prints nothing on the serial port",
        Expected(_ERROR, Cause.NO_CONSOLE, 1),
        detectors=("console",),
        plan=_cmdline(1, "console=ttyS0,115200", "console=null"),
    ),
    Case(
        "mute",
        "the serial port loses what is printed from some moment on",
        Expected(_ERROR, Cause.STALLED_CONSOLE, 1),
        detectors=("console",),
        quick=True,
        at=_KERNEL_1,  # its driver sets the port up again later
        damage=damage.mute_console,
    ),
    Case(
        "agent-lost",
        "the guest agent never reports, and its kernel lives",
        Expected(_ERROR, Cause.AGENT_LOST, 1),
        detectors=("run",),
        plan=lambda plan: _boot_soon(_cmdline(1, " harness.nonce=", " other.nonce=")(plan)),
    ),
    Case(
        "link",
        "the link is closed while QEMU lives",
        Expected(_ERROR, Cause.PORT_LOST, 1),
        detectors=("run",),
        quick=True,
        at=_KERNEL_1,
        damage=damage.drop_link,
    ),
    Case(
        "qemu-killed",
        "QEMU is killed",
        Expected(_ERROR, Cause.QEMU_DIED, 1),
        detectors=("run",),
        quick=True,
        at=_KERNEL_1,
        damage=damage.kill_qemu,
    ),
    Case(
        "qemu-stopped",
        "QEMU is stopped by a signal",
        Expected(_ERROR, Cause.HOST, 1),
        detectors=("run",),
        quick=True,
        plan=_boot_soon,
        at=_KERNEL_1,
        damage=damage.stop_qemu,
    ),
    Case(
        "host-clock",
        "the host's clock is set while a guest hangs",
        Expected(_ERROR, Cause.CLOCK_SKEW, 1),
        detectors=("run",),
        plan=_boot_soon,
        at=_KERNEL_1,
        damage=damage.hang,
        wall_jump_s=-3600.0,
    ),
    Case(
        "vmcore",
        "a byte of the dump is changed while it is written",
        Expected(_FAIL, Cause.VMCORE_CORRUPT),
        detectors=("kdump: memory",),
        kdump=True,
        at=(Phase.CAPTURE, 2),
        damage=damage.flip_vmcore_byte,
    ),
    Case(
        "disk-full",
        "the record cannot be written any more",
        Expected(_ERROR, Cause.HOST, 1),
        detectors=("run",),
        quick=True,
        at=_KERNEL_1,
        damage=damage.fill_disk,
    ),
)
