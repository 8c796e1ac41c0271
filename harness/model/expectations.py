"""What must hold in a scenario."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from harness.model.base import Address, Value
from harness.model.names import FakeMem, SoftReserved, TableName
from harness.model.pagetables import EfiPages
from harness.model.runtime_steps import FirmwareBitsExpected, RuntimeFaultExpected, RuntimeServicesExpected
from harness.model.xen import XenReused, XenTable, XenTablesProtected

LOAD_PHYSICAL_ADDR = 0x100_0000
"""CONFIG_PHYSICAL_START, 16 MiB unless a kernel is configured otherwise."""


class TableIntact(Value):
    table_intact: TableName = Field(
        description="The table's bytes, read from outside at every epoch border, are what firmware handed over; "
        "its canaries too; and what the kernel shows of it in sysfs agrees."
    )


class KexecWouldOverlap(Value):
    kexec_would_overlap: TableName = Field(
        description="Proof that the run can find the bug at all: a kexec segment covers the table, or would have "
        "covered it had the kernel not kept the table's pages reserved."
    )


class NoCrash(Value):
    no_crash: Literal[True] = Field(default=True, description="No panic, oops or BUG on the console, in any epoch.")


class NoRamdisk(Value):
    no_ramdisk: Literal[True] = Field(
        default=True,
        description="The last kernel, which a kexec with no_initrd starts, finds no initrd: it prints no `RAMDISK:` "
        "line and comes to where a kernel without a root file system ends, `Unable to mount root fs`; although the EFI "
        "stub's INITRD table of the first boot is in its list of tables.",
    )


class FakeMemExact(Value):
    fake_mem: FakeMem = Field(
        description="Every efi_fake_mem= entry took effect in every kernel that has it on its command line, and the "
        "EFI memory map of that kernel is exactly what firmware's map and the entries make: no range lost or "
        "described twice, attributes exact, split nowhere else. exact-over-a-page: the splits also make the map grow "
        "into one more 4 KiB page, else the run proves nothing (ERROR)."
    )


class SoftReservedExact(Value):
    soft_reserved: SoftReserved = Field(
        description="`Soft Reserved` in /proc/iomem is exactly the conventional memory that the kernel's efi_fake_mem= "
        "entries mark as EFI_MEMORY_SP, and what its e820 table already had as such. kept: a kexec'ed kernel also "
        "has all that the kernel before it had."
    )


class EfiPageTables(Value):
    efi_page_tables: EfiPages = Field(
        description="What holds for every page of EFI's mappings, the 1:1 ones and those in the EFI window, at every "
        "page_tables step. no-global: none is global. wx-free: none is both writable and executable, while firmware's "
        "Memory Attributes Table is intact. both-views: they are those that the kernel shows in debugfs, entry by "
        "entry."
    )


class StressClean(Value):
    stress: Literal["clean"] = Field(
        description="In every stress step each call of firmware succeeded and read back what it wrote, and no process "
        "saw other content in its pages than its own. QEMU's TCG keeps no stale TLB entries, so only with KVM could "
        "those show."
    )


class PlacedWhere(Value):
    at_or_above: Address = Field(
        default=LOAD_PHYSICAL_ADDR,
        description="The lowest place that is right. 0x1000000 is LOAD_PHYSICAL_ADDR, CONFIG_PHYSICAL_START.",
        examples=["0x1000000"],
    )


class KernelPlaced(Value):
    kernel_placed: PlacedWhere = Field(
        description="`Kernel code` in /proc/iomem begins at or above that address in every epoch; the kernel covers "
        "only memory that was free at the hand-off, no range that firmware occupies; and no page allocation failed."
    )


class KdumpClean(Value):
    kdump_clean: Literal[True, "strict"] = Field(
        default=True,
        description="The crash that was injected, and no other, is in the dump; the dump is complete and holds what "
        "memory held; the capture kernel came up in its reserved region. docs/kdump.md says it check by check. strict: "
        "also without the one thing that is forgiven otherwise, the wiping of the stub's INITRD table.",
    )


class AcpiPresent(Value):
    acpi_present: Literal[True] = Field(
        default=True,
        description="Every kernel found firmware's ACPI tables: the same as the first one, and as many CPUs online as "
        "the machine has (two or more, because a kernel without ACPI finds one).",
    )


class E820Stable(Value):
    e820_stable: Literal[True] = Field(
        default=True,
        description="The e820 table that each kexec'ed kernel is given (boot_params) has no more entries than the one "
        "of the kernel before it, from the second kexec on, and describes the same memory; and /sys/firmware/memmap "
        "of each kernel is what it was given.",
    )


class RuntimeMapKept(Value):
    runtime_map: Literal["kept"] = Field(
        description="Every kexec'ed kernel has the same EFI memory map of runtime regions as the kernel before it "
        "(/sys/firmware/efi/runtime-map: types, physical and virtual addresses, sizes, attributes). For scenarios "
        "without tables in boot services memory, whose reservation splits regions."
    )


class CrashRegionKept(Value):
    crash_region: Literal["kept"] = Field(
        description="Every kernel with crashkernel= on its command line has the region that it says it reserved, as "
        "`Crash kernel` in /proc/iomem. With option_roms in the machine the region of a kexec'ed kernel also covers "
        "what the first kernel was given in setup_data, else the run proves nothing (ERROR)."
    )


class PagingLevels(Value):
    paging_levels: list[Literal[4, 5]] = Field(
        min_length=1,
        description="Levels of page tables that the kernels of the epochs run on, one number an epoch: CR4.LA57 of "
        "every CPU, read from outside, and what /proc/cpuinfo says.",
        examples=["[5, 4]"],
    )


class BootServicesMemoryFreed(Value):
    boot_services_memory: Literal["freed"] = Field(
        description="The first kernel frees all boot services memory above 1 MiB that firmware had at the hand-off and "
        "that is not in the runtime-map: the size that it reports, to within 64 KiB, because firmware may allocate and "
        "free after the hand-off. efi=debug keeps all of it."
    )


def _expectation_tag(item: Any) -> str | None:
    for name in _EXPECTATIONS:
        if item == name or hasattr(item, name) or (isinstance(item, dict) and name in item):
            return name
    return None


_EXPECTATIONS = (
    "table_intact",
    "kexec_would_overlap",
    "no_ramdisk",
    "fake_mem",
    "soft_reserved",
    "efi_page_tables",
    "stress",
    "runtime_fault",
    "runtime_services",
    "firmware_bits",
    "xen_table",
    "xen_tables",
    "xen_reused",
    "kernel_placed",
    "kdump_clean",
    "acpi_present",
    "e820_stable",
    "runtime_map",
    "crash_region",
    "paging_levels",
    "boot_services_memory",
    "no_crash",
)
Expectation = Annotated[
    Annotated[TableIntact, Tag("table_intact")]
    | Annotated[KexecWouldOverlap, Tag("kexec_would_overlap")]
    | Annotated[NoRamdisk, Tag("no_ramdisk")]
    | Annotated[FakeMemExact, Tag("fake_mem")]
    | Annotated[SoftReservedExact, Tag("soft_reserved")]
    | Annotated[EfiPageTables, Tag("efi_page_tables")]
    | Annotated[StressClean, Tag("stress")]
    | Annotated[RuntimeFaultExpected, Tag("runtime_fault")]
    | Annotated[RuntimeServicesExpected, Tag("runtime_services")]
    | Annotated[FirmwareBitsExpected, Tag("firmware_bits")]
    | Annotated[XenTable, Tag("xen_table")]
    | Annotated[XenTablesProtected, Tag("xen_tables")]
    | Annotated[XenReused, Tag("xen_reused")]
    | Annotated[KernelPlaced, Tag("kernel_placed")]
    | Annotated[KdumpClean, Tag("kdump_clean")]
    | Annotated[AcpiPresent, Tag("acpi_present")]
    | Annotated[E820Stable, Tag("e820_stable")]
    | Annotated[RuntimeMapKept, Tag("runtime_map")]
    | Annotated[CrashRegionKept, Tag("crash_region")]
    | Annotated[PagingLevels, Tag("paging_levels")]
    | Annotated[BootServicesMemoryFreed, Tag("boot_services_memory")]
    | Annotated[NoCrash, Tag("no_crash")],
    Discriminator(
        _expectation_tag,
        custom_error_type="expectation",
        custom_error_message=f"is not an expectation; allowed: {', '.join(_EXPECTATIONS)}",
    ),
]
