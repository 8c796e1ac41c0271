"""The checks of what one kernel hands to the next, for the judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from harness.model.expectations import (
    AcpiPresent,
    BootServicesMemoryFreed,
    CrashRegionKept,
    E820Stable,
    Expectation,
    PagingLevels,
    RuntimeMapKept,
)
from harness.model.verdict import Cause, Check
from harness.record.observations import Observations
from harness.subjects.seams.acpi import check_acpi
from harness.subjects.seams.bootservices import check_boot_services_memory
from harness.subjects.seams.crashregion import check_crash_region
from harness.subjects.seams.e820stable import check_e820_stable
from harness.subjects.seams.optionroms import check_option_roms
from harness.subjects.seams.paginglevels import check_paging_levels
from harness.subjects.seams.runtimemap import check_runtime_map

Rule = tuple[str, Callable[[Observations], Check | None]]

NAMES = ("acpi_present", "e820_stable", "runtime_map", "crash_region", "paging_levels", "boot_services_memory")
"""Their summaries are worth the headline of a PASS."""
TELLING = (
    Cause.ACPI_LOST,
    Cause.E820_GROWS,
    Cause.E820_CHANGED,
    Cause.RUNTIME_MAP_CHANGED,
    Cause.PAGING_LEVELS,
    Cause.BOOT_SERVICES_LOST,
)
"""Causes, the one that says most first."""


def always() -> Iterator[Rule]:
    """Checks of the machine itself; None where it has nothing of the kind."""
    yield "option ROMs", check_option_roms


def expected(expectation: Expectation) -> Iterator[Rule]:
    """The check of an expectation; nothing for one of another subject."""
    match expectation:
        case AcpiPresent():
            yield "acpi_present", check_acpi
        case E820Stable():
            yield "e820_stable", check_e820_stable
        case RuntimeMapKept():
            yield "runtime_map", check_runtime_map
        case CrashRegionKept():
            yield "crash_region", check_crash_region
        case BootServicesMemoryFreed():
            yield "boot_services_memory", check_boot_services_memory
        case PagingLevels(paging_levels=levels):
            yield "paging_levels", partial(check_paging_levels, levels=levels)
