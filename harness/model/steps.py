"""What happens in a scenario, step by step."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from harness.model.base import Size, Value
from harness.model.kdump import CaptureOptions, CrashOptions
from harness.model.names import Syscall
from harness.model.pagetables import PageTablesOptions, StressOptions
from harness.model.runtime_steps import AliveStep, EfivarsStep, KexecRefusedStep, RebootStep, RuntimeStep


class Padding(Value):
    """How an initrd is made big enough to lie over a table."""

    pad: Size = Field(
        default=0, le=512 * 2**20, description="Bytes of padding in the initrd, as a file in it.", examples=["40MiB"]
    )


class BootOptions(Value):
    """The first boot, from firmware."""

    cmdline: list[str] = Field(default_factory=list, description="More kernel command line parameters.")


class NextKernel(Value):
    """A kernel that the running one loads."""

    syscall: Syscall = Field(description="file: kexec_file_load (kexec -s); load: kexec_load (kexec -c).")
    kernel: str | None = Field(
        default=None, description="The next kernel: a name from kernels/ or a path. Default: the same kernel again."
    )
    initrd: Padding = Field(default_factory=Padding, description="The next kernel's initrd.")
    cmdline: list[str] = Field(
        default_factory=list, description="More command line parameters for the next kernel only."
    )


class KexecOptions(NextKernel):
    """One kexec into the next kernel."""

    no_initrd: bool = Field(
        default=False,
        description="Load it without any initrd, as the last step: it panics where it would mount its root. Needs the "
        "expectation no_ramdisk.",
    )


class CrashKernelOptions(NextKernel):
    """The capture kernel, loaded into the memory that ``crashkernel=`` keeps for it; a crash starts it."""


class BootStep(Value):
    boot: BootOptions = Field(description="Start the kernel from firmware.")


class KexecStep(Value):
    kexec: KexecOptions = Field(description="Load and start the next kernel.")


class CrashKernelStep(Value):
    crash_kernel: CrashKernelOptions = Field(description="Load the capture kernel (kexec -p); crash starts it.")


class CrashStep(Value):
    crash: CrashOptions = Field(description="Crash the running kernel; the capture kernel takes over.")


class CaptureStep(Value):
    capture: CaptureOptions = Field(description="In the capture kernel: write the vmcore to a disk.")


class PageTablesStep(Value):
    page_tables: PageTablesOptions = Field(
        description="Call firmware once and read the page tables it ran on, from outside and, where the kernel has it, "
        "from debugfs."
    )


class StressStep(Value):
    stress: StressOptions = Field(description="Call firmware on every CPU beside mmap and munmap of its addresses.")


_STEPS = (
    *("boot", "kexec", "crash_kernel", "crash", "capture", "page_tables", "stress"),
    *("runtime", "alive", "efivars", "reboot", "kexec_refused"),
)


def _step_tag(step: Any) -> str | None:
    for name in _STEPS:
        if step == name or hasattr(step, name) or (isinstance(step, dict) and name in step):
            return name
    return None


Step = Annotated[
    Annotated[BootStep, Tag("boot")]
    | Annotated[KexecStep, Tag("kexec")]
    | Annotated[CrashKernelStep, Tag("crash_kernel")]
    | Annotated[CrashStep, Tag("crash")]
    | Annotated[CaptureStep, Tag("capture")]
    | Annotated[PageTablesStep, Tag("page_tables")]
    | Annotated[StressStep, Tag("stress")]
    | Annotated[RuntimeStep, Tag("runtime")]
    | Annotated[AliveStep, Tag("alive")]
    | Annotated[EfivarsStep, Tag("efivars")]
    | Annotated[RebootStep, Tag("reboot")]
    | Annotated[KexecRefusedStep, Tag("kexec_refused")],
    Discriminator(
        _step_tag, custom_error_type="step", custom_error_message=f"is not a step; allowed: {', '.join(_STEPS)}"
    ),
]
