"""Words about ``efi_fake_mem=`` and the soft reserved memory it makes."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import Field

from harness.model.base import ExpectationValue

if TYPE_CHECKING:
    from harness.model.scenario import Scenario

FAKE_MEM_PARAMETER = "efi_fake_mem="


class FakeMem(StrEnum):
    """How closely the kernel's EFI memory map is held to its ``efi_fake_mem=`` entries."""

    EXACT = "exact"
    EXACT_OVER_A_PAGE = "exact-over-a-page"


class SoftReserved(StrEnum):
    """In which epochs ``Soft Reserved`` memory must be what."""

    EXACT = "exact"
    KEPT = "kept"


class FakeMemExact(ExpectationValue):
    fake_mem: FakeMem = Field(
        description="Every efi_fake_mem= entry took effect in every kernel that has it on its command line, and the "
        "EFI memory map of that kernel is exactly what firmware's map and the entries make: no range lost or "
        "described twice, attributes exact, split nowhere else. exact-over-a-page: the splits also make the map grow "
        "into one more 4 KiB page, else the run proves nothing (ERROR)."
    )

    def vacuous(self, scenario: Scenario) -> str:
        return _nothing_faked(scenario)


class SoftReservedExact(ExpectationValue):
    soft_reserved: SoftReserved = Field(
        description="`Soft Reserved` in /proc/iomem is exactly the conventional memory that the kernel's efi_fake_mem= "
        "entries mark as EFI_MEMORY_SP, and what its e820 table already had as such. kept: a kexec'ed kernel also "
        "has all that the kernel before it had."
    )

    def vacuous(self, scenario: Scenario) -> str:
        return _nothing_faked(scenario)


def _nothing_faked(scenario: Scenario) -> str:
    if not any(FAKE_MEM_PARAMETER in word for line in scenario.cmdlines for word in line):
        return f"fake_mem and soft_reserved need {FAKE_MEM_PARAMETER} on a command line"
    return ""


FakeMemExpectation = FakeMemExact | SoftReservedExact
