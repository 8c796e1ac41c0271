"""What the runner does in one epoch, once its kernel has reported: a scenario's steps, made complete."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.model.base import Value
from harness.model.kdump import CaptureOptions, CrashOptions


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


Action = Annotated[
    KexecAction | CrashKernelAction | CrashAction | CaptureAction,
    Field(discriminator="action"),
]
