"""The row of what one kernel hands to the next besides tables."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from harness.model.causes import Cause
from harness.model.words.seams import (
    AcpiPresent,
    BootServicesMemoryFreed,
    CrashRegionKept,
    E820Stable,
    PagingLevels,
    RuntimeMapKept,
)
from harness.subjects.claims import Always, Rule, Subject
from harness.subjects.seams.acpi import check_acpi
from harness.subjects.seams.bootservices import check_boot_services_memory
from harness.subjects.seams.crashregion import check_crash_region
from harness.subjects.seams.e820stable import check_e820_stable
from harness.subjects.seams.optionroms import check_option_roms
from harness.subjects.seams.paginglevels import check_paging_levels
from harness.subjects.seams.runtimemap import check_runtime_map


def _levels(item: PagingLevels) -> Iterator[Rule]:
    yield "paging_levels", partial(check_paging_levels, levels=item.paging_levels)


SUBJECT = Subject(
    name="seams",
    causes=(
        *(Cause.ACPI_LOST, Cause.E820_GROWS, Cause.E820_CHANGED, Cause.RUNTIME_MAP_CHANGED),
        *(Cause.PAGING_LEVELS, Cause.BOOT_SERVICES_LOST, Cause.CRASH_REGION_LOST),
    ),
    expectations={
        AcpiPresent: lambda _item: [("acpi_present", check_acpi)],
        E820Stable: lambda _item: [("e820_stable", check_e820_stable)],
        RuntimeMapKept: lambda _item: [("runtime_map", check_runtime_map)],
        CrashRegionKept: lambda _item: [("crash_region", check_crash_region)],
        BootServicesMemoryFreed: lambda _item: [("boot_services_memory", check_boot_services_memory)],
        PagingLevels: _levels,
    },
    always=(Always(60, "option ROMs", check_option_roms),),
    headline=("acpi_present", "e820_stable", "runtime_map", "crash_region", "paging_levels", "boot_services_memory"),
)
