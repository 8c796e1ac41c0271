"""Words of the steps that crash a kernel and capture its memory."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from harness.model.base import Value


class CrashTrigger(StrEnum):
    """How the running kernel is crashed."""

    SYSRQ = "sysrq"
    """``echo c >/proc/sysrq-trigger`` (Documentation/admin-guide/sysrq.rst)."""


DumpLevel = Annotated[int, Field(ge=0, le=31)]
"""makedumpfile -d: 1 zero pages, 2 cache, 4 cache private, 8 user data, 16 free pages (makedumpfile(8))."""


class CrashOptions(Value):
    """The crash."""

    by: CrashTrigger = Field(description="What crashes the kernel.")


class CaptureOptions(Value):
    """How the vmcore is written."""

    filter: DumpLevel | None = Field(
        default=None,
        description="makedumpfile's dump level (-d): the sum of 1 zero, 2 cache, 4 cache private, 8 user, 16 free "
        "pages left out. null: a raw copy of /proc/vmcore.",
        examples=[31],
    )
