"""Words of every scenario: the first boot, and that nothing crashes."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from harness.model.base import ExpectationValue, StepValue, Value


class BootOptions(Value):
    """The first boot, from firmware."""

    cmdline: list[str] = Field(default_factory=list, description="More kernel command line parameters.")


class BootStep(StepValue):
    starts_next: ClassVar[bool] = True
    boot: BootOptions = Field(description="Start the kernel from firmware.")


class NoCrash(ExpectationValue):
    no_crash: Literal[True] = Field(default=True, description="No panic, oops or BUG on the console, in any epoch.")


VitalsStep = BootStep
VitalsExpectation = NoCrash
