"""Words of the step that loads and starts the next kernel."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from harness.model.base import Size, StepValue, Value


class Syscall(StrEnum):
    """How the next kernel is loaded; never left to the tool's default, which changed in kexec-tools 2.0.27."""

    FILE = "file"
    """kexec_file_load(2), ``kexec -s``: the kernel chooses the places, from the iomem tree."""
    LOAD = "load"
    """kexec_load(2), ``kexec -c``: the tool chooses the places, from /sys/firmware/memmap."""


class Padding(Value):
    """How an initrd is made big enough to lie over a table."""

    pad: Size = Field(
        default=0, le=512 * 2**20, description="Bytes of padding in the initrd, as a file in it.", examples=["40MiB"]
    )


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


class KexecStep(StepValue):
    starts_next: ClassVar[bool] = True
    kexec: KexecOptions = Field(description="Load and start the next kernel.")


KexecSubjectStep = KexecStep
