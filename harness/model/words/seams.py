"""What one kernel hands to the next besides tables: what may be expected of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from harness.model.base import ExpectationValue

if TYPE_CHECKING:
    from harness.model.scenario import Scenario


class AcpiPresent(ExpectationValue):
    acpi_present: Literal[True] = Field(
        default=True,
        description="Every kernel found firmware's ACPI tables: the same as the first one, and as many CPUs online as "
        "the machine has (two or more, because a kernel without ACPI finds one).",
    )

    def vacuous(self, scenario: Scenario) -> str:
        if scenario.machine.cpus < 2:
            return "acpi_present needs machine: {cpus: 2} or more: without ACPI a kernel finds one CPU"
        return ""


class E820Stable(ExpectationValue):
    e820_stable: Literal[True] = Field(
        default=True,
        description="The e820 table that each kexec'ed kernel is given (boot_params) has no more entries than the one "
        "of the kernel before it, from the second kexec on, and describes the same memory; and /sys/firmware/memmap "
        "of each kernel is what it was given.",
    )

    def vacuous(self, scenario: Scenario) -> str:
        if len(scenario.kexecs) < 2:
            return "e820_stable needs two kexec steps or more: it compares what kexec'ed kernels are given"
        return ""


class RuntimeMapKept(ExpectationValue):
    runtime_map: Literal["kept"] = Field(
        description="Every kexec'ed kernel has the same EFI memory map of runtime regions as the kernel before it "
        "(/sys/firmware/efi/runtime-map: types, physical and virtual addresses, sizes, attributes). For scenarios "
        "without tables in boot services memory, whose reservation splits regions."
    )

    def vacuous(self, scenario: Scenario) -> str:
        if not scenario.kexecs:
            return "runtime_map needs a kexec step: it compares kexec'ed kernels with the one before"
        return ""


class CrashRegionKept(ExpectationValue):
    crash_region: Literal["kept"] = Field(
        description="Every kernel with crashkernel= on its command line has the region that it says it reserved, as "
        "`Crash kernel` in /proc/iomem. With option_roms in the machine the region of a kexec'ed kernel also covers "
        "what the first kernel was given in setup_data, else the run proves nothing (ERROR)."
    )

    def vacuous(self, scenario: Scenario) -> str:
        if not any(word.startswith("crashkernel=") for line in scenario.cmdlines for word in line):
            return "crash_region needs crashkernel= on a command line"
        return ""


class PagingLevels(ExpectationValue):
    paging_levels: list[Literal[4, 5]] = Field(
        min_length=1,
        description="Levels of page tables that the kernels of the epochs run on, one number an epoch: CR4.LA57 of "
        "every CPU, read from outside, and what /proc/cpuinfo says.",
        examples=["[5, 4]"],
    )

    def vacuous(self, scenario: Scenario) -> str:
        kernels = len(scenario.cmdlines)
        if len(self.paging_levels) != kernels:
            return f"paging_levels needs one number for each of the {kernels} kernels"
        return ""


class BootServicesMemoryFreed(ExpectationValue):
    boot_services_memory: Literal["freed"] = Field(
        description="The first kernel frees all boot services memory above 1 MiB that firmware had at the hand-off and "
        "that is not in the runtime-map: the size that it reports, to within 64 KiB, because firmware may allocate and "
        "free after the hand-off. efi=debug keeps all of it."
    )

    def vacuous(self, scenario: Scenario) -> str:
        if any(word in ("noefi", "efi=debug") for word in scenario.cmdlines[0]):
            return "boot_services_memory cannot be seen with noefi or efi=debug: nothing is freed then"
        return ""


SeamsExpectation = AcpiPresent | E820Stable | RuntimeMapKept | CrashRegionKept | PagingLevels | BootServicesMemoryFreed
