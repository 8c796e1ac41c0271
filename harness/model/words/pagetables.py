"""Words of the steps that call firmware to look at what it runs on."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from harness.model.base import ExpectationValue, StepValue, Value


class EfiPages(StrEnum):
    """What is asked of EFI's mappings."""

    NO_GLOBAL = "no-global"
    """No page is global: its TLB entry would outlive the switch to another address space."""
    WX_FREE = "wx-free"
    """No page is both writable and executable."""
    BOTH_VIEWS = "both-views"
    """The kernel's own dump in debugfs says the same, entry by entry."""


class PageTablesOptions(Value):
    """One look at the page tables that firmware runs on: one call of SetVariable, then memory is read from outside."""


class StressOptions(Value):
    """Calls of firmware beside processes whose pages have the addresses of firmware's own."""

    calls: int = Field(
        default=200, ge=1, le=100_000, description="Pairs of SetVariable and GetVariable, each pair on the next CPU."
    )
    loaders: int = Field(
        default=4,
        ge=1,
        le=16,
        description="Processes that map, fill, check and unmap pages at the physical addresses of firmware's code.",
    )


class PageTablesStep(StepValue):
    page_tables: PageTablesOptions = Field(
        description="Call firmware once and read the page tables it ran on, from outside and, where the kernel has it, "
        "from debugfs."
    )


class StressStep(StepValue):
    stress: StressOptions = Field(description="Call firmware on every CPU beside mmap and munmap of its addresses.")


class EfiPageTables(ExpectationValue):
    efi_page_tables: EfiPages = Field(
        description="What holds for every page of EFI's mappings, the 1:1 ones and those in the EFI window, at every "
        "page_tables step. no-global: none is global. wx-free: none is both writable and executable, while firmware's "
        "Memory Attributes Table is intact. both-views: they are those that the kernel shows in debugfs, entry by "
        "entry."
    )


class StressClean(ExpectationValue):
    stress: Literal["clean"] = Field(
        description="In every stress step each call of firmware succeeded and read back what it wrote, and no process "
        "saw other content in its pages than its own. QEMU's TCG keeps no stale TLB entries, so only with KVM could "
        "those show."
    )


PageTablesSubjectStep = PageTablesStep | StressStep
PageTablesExpectation = EfiPageTables | StressClean
