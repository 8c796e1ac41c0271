"""Words of the steps that crash a kernel and capture its memory."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from harness.model.base import ExpectationValue, StepValue, Value
from harness.model.kernel import Capability
from harness.model.words.kexec import NextKernel, Padding


class CrashTrigger(StrEnum):
    """How the running kernel is crashed; the task that asks for it carries the run's nonce in its name."""

    SYSRQ = "sysrq"
    """``echo c >/proc/sysrq-trigger`` (Documentation/admin-guide/sysrq.rst)."""
    SYSRQ_IN_IRQ = "sysrq-in-irq"
    """A BREAK on the serial console, then ``c``: the kernel crashes inside the UART's interrupt. From outside."""
    NMI = "nmi"
    """An NMI from outside (QMP inject-nmi), with ``unknown_nmi_panic``."""
    INIT_DIES = "init-dies"
    """Process 1 ends: "Attempted to kill init!"."""
    NULL_DEREF = "null-deref"
    """LKDTM EXCEPTION: a write through a null pointer, with ``panic_on_oops``."""
    BUG = "bug"
    """LKDTM BUG: ``BUG()``, with ``panic_on_oops``."""
    PANIC_ON_WARN = "panic-on-warn"
    """LKDTM WARNING, with ``panic_on_warn``."""
    SOFTLOCKUP = "softlockup"
    """LKDTM SOFTLOCKUP, with ``softlockup_panic``; the watchdog needs about 20 s of guest time."""
    DOUBLE_FAULT = "double-fault"
    """LKDTM EXHAUST_STACK: the page fault on the stack's guard page finds no stack and becomes a double fault."""
    FIRMWARE_FAULT = "firmware-fault"
    """Firmware reads a non-canonical address in SetVariable, with ``panic_on_oops`` (docs/runtime-faults.md)."""


ANY_TASK = r"\S+"
"""For ``Trigger.worker``: an interrupt meets whatever runs, if most often the task that waits for it."""


class Trigger(Value):
    """What is known about a way to crash a kernel."""

    needs: tuple[Capability, ...]
    """What the crashed kernel must have."""
    report: str
    """A regular expression for the line of the kernel's log by which this crash is known from others."""
    code: tuple[str, ...] = ()
    """Functions of which one is on the stack of the task that crashed; none where it differs too much."""
    before: str = ""
    """What may be reported before that line: a trigger that warns first."""
    worker: str = ""
    """Who crashes in place of the task (a thread of the kernel, ANY_TASK), as a regular expression; empty: nobody."""
    in_firmware: bool = False
    """Is it firmware's code that faults, where the kernel maps it?"""


_LKDTM = (Capability.LKDTM,)
TRIGGERS: Mapping[CrashTrigger, Trigger] = MappingProxyType(
    {
        CrashTrigger.SYSRQ: Trigger(
            needs=(Capability.SYSRQ,),
            report=r"Kernel panic - not syncing: sysrq triggered crash",
            code=("sysrq_handle_crash", "__handle_sysrq", "write_sysrq_trigger"),
        ),
        CrashTrigger.SYSRQ_IN_IRQ: Trigger(
            needs=(Capability.SYSRQ, Capability.SYSRQ_SERIAL),
            report=r"Kernel panic - not syncing: sysrq triggered crash",
            code=("sysrq_handle_crash", "__handle_sysrq", "serial8250_handle_irq", "serial8250_interrupt"),
            worker=ANY_TASK,
        ),
        CrashTrigger.NMI: Trigger(
            needs=(),
            report=r"Kernel panic - not syncing: NMI: Not continuing",
            code=("unknown_nmi_error", "default_do_nmi", "exc_nmi", "asm_exc_nmi", "nmi_panic"),
            worker=ANY_TASK,
        ),
        CrashTrigger.INIT_DIES: Trigger(
            needs=(),
            report=r"Kernel panic - not syncing: Attempted to kill init!",
            code=("do_exit", "do_group_exit", "__x64_sys_exit_group"),
        ),
        CrashTrigger.NULL_DEREF: Trigger(
            needs=_LKDTM,
            report=r"BUG: (?:kernel NULL pointer dereference|unable to handle kernel NULL pointer dereference)",
            code=("lkdtm_EXCEPTION", "lkdtm_do_action", "direct_entry"),
        ),
        CrashTrigger.BUG: Trigger(
            needs=_LKDTM,
            report=r"kernel BUG at \S*drivers/misc/lkdtm/bugs\.c",
            code=("lkdtm_BUG", "lkdtm_do_action", "direct_entry"),
        ),
        CrashTrigger.PANIC_ON_WARN: Trigger(
            needs=_LKDTM,
            report=r"Kernel panic - not syncing: (?:kernel: )?panic_on_warn set",
            before=r"WARNING: ",
            code=("lkdtm_WARNING", "lkdtm_do_action", "direct_entry", "__warn", "check_panic_on_warn"),
        ),
        CrashTrigger.SOFTLOCKUP: Trigger(
            needs=(*_LKDTM, Capability.SOFTLOCKUP_DETECTOR),
            report=r"Kernel panic - not syncing: softlockup: hung tasks",
            before=r"BUG: soft lockup",
            code=("lkdtm_SOFTLOCKUP", "lkdtm_do_action", "direct_entry", "watchdog_timer_fn"),
        ),
        CrashTrigger.DOUBLE_FAULT: Trigger(
            needs=_LKDTM,
            report=r"BUG: (?:stack guard page was hit|TASK stack guard page was hit|IRQ stack guard page was hit)"
            r"|(?:Kernel panic - not syncing: )?double fault|traps: PANIC: double fault",
            code=(),
        ),
        CrashTrigger.FIRMWARE_FAULT: Trigger(
            needs=(),
            report=r"general protection fault",
            code=("efi_call_rts", "__efi_call", "efi_call", "process_one_work"),
            worker=r"kworker/\S+",  # efi_rts_wq, drivers/firmware/efi/runtime-wrappers.c
            in_firmware=True,
        ),
    }
)

TASK_PREFIX = "hX"
"""The crashing task is called ``hX1a2b3c4d`` in the run with the nonce 1a2b3c4d (Documentation: /proc/PID/comm)."""


def task_name(nonce: str) -> str:
    """The name of the task that crashes a run's kernel; at most 15 bytes (TASK_COMM_LEN)."""
    return f"{TASK_PREFIX}{nonce}"


DumpLevel = Annotated[int, Field(ge=0, le=31)]
"""makedumpfile -d: 1 zero pages, 2 cache, 4 cache private, 8 user data, 16 free pages (makedumpfile(8))."""


class CrashOptions(Value):
    """The crash."""

    by: CrashTrigger = Field(
        description="What crashes the kernel. sysrq, init-dies: from inside; sysrq-in-irq (a BREAK on the serial "
        "console), nmi: from outside; null-deref, bug, panic-on-warn, softlockup, double-fault: by LKDTM, which "
        "distributions do not build; firmware-fault: in firmware's SetVariable."
    )


class CaptureOptions(Value):
    """How the vmcore is written."""

    filter: DumpLevel | None = Field(
        default=None,
        description="makedumpfile's dump level (-d): the sum of 1 zero, 2 cache, 4 cache private, 8 user, 16 free "
        "pages left out. null: a raw copy of /proc/vmcore.",
        examples=[31],
    )


class CrashKernelOptions(NextKernel):
    """The capture kernel, loaded into the memory that ``crashkernel=`` keeps for it; a crash starts it."""

    initrd: Padding = Field(default_factory=Padding, description="The capture kernel's initrd.")


class CrashKernelStep(StepValue):
    crash_kernel: CrashKernelOptions = Field(description="Load the capture kernel (kexec -p); crash starts it.")


class CrashStep(StepValue):
    starts_next: ClassVar[bool] = True
    crash: CrashOptions = Field(description="Crash the running kernel; the capture kernel takes over.")


class CaptureStep(StepValue):
    capture: CaptureOptions = Field(description="In the capture kernel: write the vmcore to a disk.")


class KdumpClean(ExpectationValue):
    kdump_clean: Literal[True, "strict"] = Field(
        default=True,
        description="The crash that was injected, and no other, is in the dump; the dump is complete and holds what "
        "memory held; the capture kernel came up in its reserved region. docs/kdump.md says it check by check. strict: "
        "also without the one thing that is forgiven otherwise, the wiping of the stub's INITRD table.",
    )


KdumpStep = CrashKernelStep | CrashStep | CaptureStep
KdumpExpectation = KdumpClean
