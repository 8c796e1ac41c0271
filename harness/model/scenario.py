"""A scenario as people write it: what to set up, what to do, what must hold.

The field descriptions are the reference: docs/scenario-reference.md and the JSON Schema are made from them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from harness.model.base import Address, Size, Value

FAKE_MEM_PARAMETER = "efi_fake_mem="


class Syscall(StrEnum):
    """How the next kernel is loaded; never left to the tool's default, which changed in kexec-tools 2.0.27."""

    FILE = "file"
    """kexec_file_load(2), ``kexec -s``: the kernel chooses the places, from the iomem tree."""
    LOAD = "load"
    """kexec_load(2), ``kexec -c``: the tool chooses the places, from /sys/firmware/memmap."""


class MemoryType(StrEnum):
    """EFI_MEMORY_TYPE (UEFI spec 2.10, section 7.2.1), by the names the spec uses."""

    RESERVED = "reserved"
    LOADER_DATA = "loader-data"
    BOOT_SERVICES_DATA = "boot-services-data"
    RUNTIME_SERVICES_DATA = "runtime-services-data"
    ACPI_RECLAIM = "acpi-reclaim"
    ACPI_NVS = "acpi-nvs"

    @property
    def number(self) -> int:
        """The value in EFI_MEMORY_DESCRIPTOR.Type."""
        return _MEMORY_TYPE_NUMBERS[self]


_MEMORY_TYPE_NUMBERS = {
    MemoryType.RESERVED: 0,
    MemoryType.LOADER_DATA: 2,
    MemoryType.BOOT_SERVICES_DATA: 4,
    MemoryType.RUNTIME_SERVICES_DATA: 6,
    MemoryType.ACPI_RECLAIM: 9,
    MemoryType.ACPI_NVS: 10,
}


class TableName(StrEnum):
    """The tables the harness can sample from outside and judge."""

    ESRT = "esrt"
    BGRT = "bgrt"
    MEMATTR = "memattr"


class FakeMem(StrEnum):
    """How closely the kernel's EFI memory map is held to its ``efi_fake_mem=`` entries."""

    EXACT = "exact"
    EXACT_OVER_A_PAGE = "exact-over-a-page"


class SoftReserved(StrEnum):
    """In which epochs ``Soft Reserved`` memory must be what."""

    EXACT = "exact"
    KEPT = "kept"


class Machine(Value):
    """The virtual machine (QEMU q35)."""

    memory: Size = Field(
        default=2**30,
        description="Guest memory. Above 2GiB some RAM lies over 4 GiB, where kernels >= 6.8 place everything.",
        examples=["1GiB"],
    )
    cpus: int = Field(default=1, ge=1, le=8, description="Number of virtual CPUs.")
    vga: bool = Field(
        default=False,
        description="A VGA device without option ROM (an option ROM splits System RAM and hides bugs). "
        "OVMF publishes a BGRT only when there is a graphics device.",
    )

    @model_validator(mode="after")
    def _enough_memory(self) -> Machine:
        if not 256 * 2**20 <= self.memory <= 64 * 2**30 or self.memory % 2**20:
            raise ValueError("memory must be from 256MiB to 64GiB, in whole MiB")
        return self


class EsrtRequest(Value):
    """An EFI System Resource Table (UEFI spec 2.10, section 23.4) that the EFI agent installs, canaries round it."""

    memory: MemoryType = Field(
        default=MemoryType.BOOT_SERVICES_DATA,
        description="EFI memory type of the pages that hold the table. The UEFI spec asks for boot-services-data.",
    )
    below: Address | None = Field(
        default=None, description="Take the highest free pages below this address.", examples=["0x3c000000"]
    )
    at: Address | None = Field(default=None, description="Take exactly the pages at this address (4 KiB aligned).")
    entries: int = Field(default=3, ge=1, le=96, description="Number of ESRT entries (40 bytes each).")

    @model_validator(mode="after")
    def _one_place(self) -> EsrtRequest:
        if (self.below is None) == (self.at is None):
            raise ValueError("say either 'below' or 'at'")
        place = self.below if self.at is None else self.at
        if place is not None and place % 4096:
            raise ValueError(f"0x{place:x} is not a multiple of the 4 KiB page")
        return self


class TableRequest(Value):
    """One table to install before the kernel starts."""

    esrt: EsrtRequest


class FirmwareSetup(Value):
    """What the EFI agent does to the firmware's tables before it starts the kernel."""

    tables: list[TableRequest] = Field(
        default_factory=list, max_length=1, description="Tables to install; none leaves the firmware as it is."
    )


class Padding(Value):
    """How an initrd is made big enough to lie over a table."""

    pad: Size = Field(
        default=0, le=512 * 2**20, description="Bytes of padding in the initrd, as a file in it.", examples=["40MiB"]
    )


class BootOptions(Value):
    """The first boot, from firmware."""

    cmdline: list[str] = Field(default_factory=list, description="More kernel command line parameters.")


class KexecOptions(Value):
    """One kexec into the next kernel."""

    syscall: Syscall = Field(description="file: kexec_file_load (kexec -s); load: kexec_load (kexec -c).")
    kernel: str | None = Field(
        default=None, description="The next kernel: a name from kernels/ or a path. Default: the same kernel again."
    )
    initrd: Padding = Field(default_factory=Padding, description="The next kernel's initrd.")
    cmdline: list[str] = Field(
        default_factory=list, description="More command line parameters for the next kernel only."
    )


class BootStep(Value):
    boot: BootOptions = Field(description="Start the kernel from firmware.")


class KexecStep(Value):
    kexec: KexecOptions = Field(description="Load and start the next kernel.")


def _step_tag(step: Any) -> str | None:
    if step == "boot" or isinstance(step, BootStep) or (isinstance(step, dict) and "boot" in step):
        return "boot"
    if isinstance(step, KexecStep) or (isinstance(step, dict) and "kexec" in step):
        return "kexec"
    return None


Step = Annotated[
    Annotated[BootStep, Tag("boot")] | Annotated[KexecStep, Tag("kexec")],
    Discriminator(_step_tag, custom_error_type="step", custom_error_message="is not a step; allowed: boot, kexec"),
]


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


def _expectation_tag(item: Any) -> str | None:
    for name in _EXPECTATIONS:
        if item == name or hasattr(item, name) or (isinstance(item, dict) and name in item):
            return name
    return None


_EXPECTATIONS = ("table_intact", "kexec_would_overlap", "fake_mem", "soft_reserved", "no_crash")
Expectation = Annotated[
    Annotated[TableIntact, Tag("table_intact")]
    | Annotated[KexecWouldOverlap, Tag("kexec_would_overlap")]
    | Annotated[FakeMemExact, Tag("fake_mem")]
    | Annotated[SoftReservedExact, Tag("soft_reserved")]
    | Annotated[NoCrash, Tag("no_crash")],
    Discriminator(
        _expectation_tag,
        custom_error_type="expectation",
        custom_error_message=f"is not an expectation; allowed: {', '.join(_EXPECTATIONS)}",
    ),
]


class Scenario(Value):
    """One scenario with its matrix resolved: what ``harness run`` runs and ``pytest scenarios`` collects."""

    id: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*(/[a-z0-9][a-z0-9-]*)+$",
        description="Stable name, ``directory/name``; never reuse one for something else.",
        examples=["esrt/kexec-file"],
    )
    why: str = Field(min_length=1, description="One or two sentences: what holds if this passes.")
    refs: list[str] = Field(
        default_factory=list, description="Kernel commits, mails or URLs that this scenario comes from."
    )
    kernel: str = Field(
        description="The kernel that boots first: a name from kernels/, or a path to a bzImage or .deb."
    )
    firmware_name: str = Field(default="ovmf-x64", description="The firmware, by name.")
    machine: Machine = Field(default_factory=Machine, description="The virtual machine.")
    cmdline: list[str] = Field(default_factory=list, description="Command line parameters for every kernel of the run.")
    firmware: FirmwareSetup = Field(default_factory=FirmwareSetup, description="What is installed before boot.")
    steps: list[Step] = Field(min_length=1, description="What happens, in order: boot, then any number of kexec.")
    expect: list[Expectation] = Field(min_length=1, description="What must hold.")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, data: Any) -> Any:
        """``boot`` for ``{boot: {}}`` and ``no_crash`` for ``{no_crash: true}``."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if isinstance(data.get("steps"), list):
            data["steps"] = [{"boot": {}} if step == "boot" else step for step in data["steps"]]
        if isinstance(data.get("expect"), list):
            data["expect"] = [{"no_crash": True} if item == "no_crash" else item for item in data["expect"]]
        return data

    @model_validator(mode="after")
    def _boot_first(self) -> Scenario:
        kinds = [type(step) for step in self.steps]
        if kinds[0] is not BootStep or BootStep in kinds[1:]:
            raise ValueError("steps must be one boot, first, then kexecs")
        return self

    @model_validator(mode="after")
    def _something_to_fake(self) -> Scenario:
        if not any(isinstance(item, FakeMemExact | SoftReservedExact) for item in self.expect):
            return self
        lines = [self.cmdline, self.boot.cmdline, *(kexec.cmdline for kexec in self.kexecs)]
        if not any(FAKE_MEM_PARAMETER in word for line in lines for word in line):
            raise ValueError(f"fake_mem and soft_reserved need {FAKE_MEM_PARAMETER} on a command line")
        return self

    @property
    def boot(self) -> BootOptions:
        return next(step.boot for step in self.steps if isinstance(step, BootStep))

    @property
    def kexecs(self) -> tuple[KexecOptions, ...]:
        return tuple(step.kexec for step in self.steps if isinstance(step, KexecStep))
