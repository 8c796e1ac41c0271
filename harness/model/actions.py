"""What the runner does in one epoch, once its kernel has reported: a scenario's steps, made complete."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.model.base import Value
from harness.model.kdump import CaptureOptions, CrashOptions
from harness.model.names import Syscall
from harness.model.pagetables import StressOptions
from harness.model.runtime_steps import RebootOptions, RuntimeOptions


class KexecAction(Value):
    """Load the kernel of the next epoch and jump into it."""

    action: Literal["kexec"] = "kexec"


class CrashKernelAction(Value):
    """Load the kernel of the next epoch as capture kernel."""

    action: Literal["crash_kernel"] = "crash_kernel"


class CrashAction(Value):
    """Crash this epoch's kernel; the next epoch is the capture kernel."""

    action: Literal["crash"] = "crash"
    crash: CrashOptions


class CaptureAction(Value):
    """Write the vmcore."""

    action: Literal["capture"] = "capture"
    capture: CaptureOptions


class PageTablesAction(Value):
    """Call firmware once and read the page tables that it ran on."""

    action: Literal["page_tables"] = "page_tables"


class StressAction(Value):
    """Call firmware beside processes that use its addresses."""

    action: Literal["stress"] = "stress"
    stress: StressOptions


class RuntimeAction(Value):
    """Call a runtime service once."""

    action: Literal["runtime"] = "runtime"
    runtime: RuntimeOptions


class AliveAction(Value):
    """Look whether the machine is alive."""

    action: Literal["alive"] = "alive"


class EfivarsAction(Value):
    """Write variables and read them back."""

    action: Literal["efivars"] = "efivars"
    round_trips: int


class RebootAction(Value):
    """Reset the machine."""

    action: Literal["reboot"] = "reboot"
    reboot: RebootOptions


class KexecRefusedAction(Value):
    """Try to load the kernel of the next epoch by a call that must refuse it."""

    action: Literal["kexec_refused"] = "kexec_refused"
    syscall: Syscall


Action = Annotated[
    KexecAction
    | CrashKernelAction
    | CrashAction
    | CaptureAction
    | PageTablesAction
    | StressAction
    | RuntimeAction
    | AliveAction
    | EfivarsAction
    | RebootAction
    | KexecRefusedAction,
    Field(discriminator="action"),
]
