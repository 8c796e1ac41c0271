"""Words of the steps that call firmware to look at what it runs on."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from harness.model.base import Value


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
