"""Words of the step that loads and starts the next kernel."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from harness.model.base import OrWord, Size, StepValue, Value

NONE: Literal["none"] = "none"
"""In the place of an initrd: the kernel gets none."""


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
    initrd: Annotated[Padding | Literal["none"], OrWord(NONE)] = Field(
        default_factory=Padding, description="The next kernel's initrd."
    )
    cmdline: list[str] = Field(
        default_factory=list, description="More command line parameters for the next kernel only."
    )

    @property
    def without_initrd(self) -> bool:
        """Is it loaded without any initrd?"""
        return self.initrd == NONE

    @property
    def pad(self) -> int:
        """Bytes of padding in its initrd."""
        return self.initrd.pad if isinstance(self.initrd, Padding) else 0


class KexecOptions(NextKernel):
    """One kexec into the next kernel."""

    initrd: Annotated[Padding | Literal["none"], OrWord(NONE)] = Field(
        default_factory=Padding,
        description="The next kernel's initrd. none: it has none, as the last step, and panics where it would mount "
        "its root; needs the expectation no_ramdisk.",
    )

    @model_validator(mode="before")
    @classmethod
    def _old_words(cls, data: Any) -> Any:
        """``no_initrd: true``, of plans and files from before there was a word for it."""
        if not isinstance(data, dict) or not isinstance(data.get("no_initrd"), bool):
            return data
        rest = {key: value for key, value in data.items() if key != "no_initrd"}
        return rest | {"initrd": NONE} if data["no_initrd"] else rest


class KexecStep(StepValue):
    starts_next: ClassVar[bool] = True
    kexec: KexecOptions = Field(description="Load and start the next kernel.")


KexecSubjectStep = KexecStep
