"""The shape of the memory map that firmware hands over: what a scenario asks for, and what a plan says of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Protocol

from pydantic import Field, model_validator

from harness.model.base import Address, ExpectationValue, Size, Value
from harness.model.page import PAGE_BYTES

MAX_RANGES = 256
"""The agent keeps them in a table of its own (harness/firmware/agent/plan.h)."""
MAX_CANARY_BYTES = 32 * 2**20
"""Canaries are sampled whole at every border; more would fill the disk."""
_GIB = 2**30
_SPLIT = 0xB000_0000


class RangeType(StrEnum):
    """EFI_MEMORY_TYPE (UEFI 2.10, 7.2.1) by the names the spec uses, and ``hole`` for memory that the map
    does not list at all.
    """

    RESERVED = "reserved"
    LOADER_CODE = "loader-code"
    LOADER_DATA = "loader-data"
    BOOT_SERVICES_CODE = "boot-services-code"
    BOOT_SERVICES_DATA = "boot-services-data"
    RUNTIME_SERVICES_CODE = "runtime-services-code"
    RUNTIME_SERVICES_DATA = "runtime-services-data"
    CONVENTIONAL = "conventional"
    UNUSABLE = "unusable"
    ACPI_RECLAIM = "acpi-reclaim"
    ACPI_NVS = "acpi-nvs"
    MMIO = "mmio"
    MMIO_PORT = "mmio-port"
    PAL_CODE = "pal-code"
    PERSISTENT = "persistent"
    HOLE = "hole"

    @property
    def number(self) -> int | None:
        """The value in EFI_MEMORY_DESCRIPTOR.Type; None for a hole."""
        return None if self is RangeType.HOLE else list(RangeType).index(self)

    @property
    def kept(self) -> bool:
        """May no kernel ever write there? The other types are RAM for it once boot services have ended."""
        return self not in _RAM

    @classmethod
    def has(cls, number: int) -> bool:
        """Is an EFI_MEMORY_TYPE among these? Unaccepted memory and an OEM's types are not."""
        return 0 <= number < len(RangeType) - 1

    @classmethod
    def of(cls, number: int) -> RangeType:
        """By EFI_MEMORY_TYPE, which is one of these."""
        return list(RangeType)[number]


_RAM = (
    RangeType.LOADER_CODE,
    RangeType.LOADER_DATA,
    RangeType.BOOT_SERVICES_CODE,
    RangeType.BOOT_SERVICES_DATA,
    RangeType.CONVENTIONAL,
)


class _Placed(Protocol):
    @property
    def at(self) -> int: ...
    @property
    def size(self) -> int: ...


class RangeRequest(Value):
    """One range that the EFI agent makes, or else the run is an ERROR."""

    at: Address = Field(description="Where it begins (4 KiB aligned).", examples=["0x1000000"])
    size: Size = Field(description="How large it is, in whole 4 KiB pages.", examples=["2MiB"])
    type: RangeType = Field(
        description="The EFI memory type it has in the map that the kernel gets. A hole is not listed in it. In types "
        "that no kernel may write to lie canaries, which are sampled from outside at every border."
    )
    hook: bool = Field(
        default=False,
        description="Where firmware has a firmware volume that is used no more, take it over: GetMemoryMap, "
        "AllocatePages and FreePages are hooked and say that it is of this type. Without it only free memory is taken.",
    )
    canary: bool = Field(
        default=True, description="false: no canaries, for ranges that are too large to be sampled (over 32MiB in all)."
    )


class MapEntry(Value):
    """One descriptor of a map that is to be reproduced as far as the firmware under test can."""

    at: Address = Field(description="Where it begins in this guest (4 KiB aligned).")
    size: Size = Field(description="How large it is, in whole 4 KiB pages.")
    type: RangeType = Field(description="Its EFI memory type.")
    note: str = Field(default="", description="What the import changed: moved, cut, other attributes.")


class LostEntry(Value):
    """One descriptor of the imported map, or the part of it, that no guest of this size can have."""

    at: Address = Field(description="Where it began in the imported map.")
    size: Size = Field(description="How much of it is lost.")
    type: str = Field(description="Its EFI memory type, in any words.")
    why: str = Field(min_length=1, description="Why it cannot be had.")


class MapFile(Value):
    """A map file, as ``harness memmap import`` writes it."""

    source: str = Field(default="", description="Where the map comes from.")
    memory: Size | None = Field(default=None, description="The guest memory it was scaled for.")
    entries: list[MapEntry] = Field(min_length=1, max_length=MAX_RANGES, description="What is to be reproduced.")
    lost: list[LostEntry] = Field(default_factory=list, description="What is left out, told in the verdict.")

    @model_validator(mode="after")
    def _in_order(self) -> MapFile:
        wrong = pages_mistake(self.entries) or overlap_mistake(self.entries)
        if wrong:
            raise ValueError(wrong)
        return self


class MapRequest(MapFile):
    """A whole map, reproduced as far as the firmware under test can; the verdict accounts for it entry by entry."""

    file: str = Field(
        default="",
        description="A map file beside the scenario, instead of entries: `harness memmap import LOG` writes one.",
        examples=["hyperv-2019.map"],
    )
    entries: list[MapEntry] = Field(
        default_factory=list, max_length=MAX_RANGES, description="What is to be reproduced; or else `file`."
    )
    hook: bool = Field(
        default=False, description="Also take over a firmware volume that is used no more, as `hook` of a range."
    )

    @model_validator(mode="after")
    def _something(self) -> MapRequest:
        if not self.entries:
            raise ValueError("say either 'file' or 'entries'")
        return self


class MemoryRequest(Value):
    """How the memory map looks that the kernel gets. docs/memory-maps.md."""

    ranges: list[RangeRequest] = Field(
        default_factory=list, max_length=MAX_RANGES, description="Ranges that must be exactly so."
    )
    map: MapRequest | None = Field(
        default=None, description="A map to be reproduced as far as possible; `ranges` come first."
    )
    kernel_at: Address | None = Field(
        default=None,
        description="Where the kernel's image is loaded (4 KiB aligned), as a boot loader might. EDK2 takes the base "
        "from the image's header, so the agent writes it there.",
        examples=["0x3c881000"],
    )

    @model_validator(mode="after")
    def _possible(self) -> MemoryRequest:
        if self.kernel_at is not None and (self.kernel_at % PAGE_BYTES or self.kernel_at < 2**20):
            # CoreLoadPeImage() of EDK2 looks at no base below 1 MiB.
            raise ValueError(f"kernel_at: {self.kernel_at:#x} is not a multiple of 4 KiB, or lies below 1 MiB")
        wrong = pages_mistake(self.ranges) or overlap_mistake(self.ranges) or self._canary_mistake()
        if not wrong and self.map is not None and len(self.ranges) + len(self.map.entries) > MAX_RANGES:
            wrong = f"{len(self.ranges)} ranges and {len(self.map.entries)} entries of a map; {MAX_RANGES} are possible"
        if wrong:
            raise ValueError(wrong)
        return self

    def _canary_mistake(self) -> str:
        total = sum(item.size for item in self.ranges if item.type.kept and item.canary)
        if total <= MAX_CANARY_BYTES:
            return ""
        return f"{total // 2**20} MiB of canaries, at most 32 MiB are sampled: give the largest range canary: false"


class RangePlan(Value):
    """One range for the agent to make."""

    at: int
    size_bytes: int
    type: RangeType
    canary_seed: int | None = None
    """None: no canaries there."""
    hook: bool = False
    fit: bool = False
    """As far as possible; else exactly so or not at all."""


class MemoryPlan(Value):
    ranges: tuple[RangePlan, ...] = ()
    kernel_at: int | None = None


def ram(memory_bytes: int) -> tuple[tuple[int, int], ...]:
    """Where a q35 machine has its RAM, half-open (hw/i386/pc_q35.c: from 2.75 GiB on, 2 GiB stay below 4 GiB)."""
    if memory_bytes < _SPLIT:
        return ((0, memory_bytes),)
    return ((0, 2 * _GIB), (4 * _GIB, 2 * _GIB + memory_bytes))


def pages_mistake(items: Iterable[_Placed]) -> str:
    """What is wrong with the first that is not whole pages; empty when nothing is."""
    for item in items:
        if item.at % PAGE_BYTES or item.size % PAGE_BYTES or not item.size:
            return f"{item.at:#x} and {item.size:#x} bytes are not whole 4 KiB pages"
    return ""


def overlap_mistake(items: Sequence[_Placed]) -> str:
    """What is wrong with the first two that overlap; empty when none do."""
    ordered = sorted(items, key=lambda item: item.at)
    for first, second in pairwise(ordered):
        if first.at + first.size > second.at:
            return (
                f"{first.at:#x}-{first.at + first.size - 1:#x} and {second.at:#x}-{second.at + second.size - 1:#x} "
                "overlap"
            )
    return ""


def outside_mistake(items: Iterable[_Placed], memory_bytes: int) -> str:
    """What is wrong with the first that is not in the guest's RAM; empty when nothing is."""
    for item in items:
        if not any(start <= item.at and item.at + item.size <= end for start, end in ram(memory_bytes)):
            where = ", ".join(f"{start:#x}-{end - 1:#x}" for start, end in ram(memory_bytes))
            return f"{item.at:#x}-{item.at + item.size - 1:#x} is not in the guest's memory ({where})"
    return ""


LOAD_PHYSICAL_ADDR = 0x100_0000
"""CONFIG_PHYSICAL_START, 16 MiB unless a kernel is configured otherwise."""


class PlacedWhere(Value):
    at_or_above: Address = Field(
        default=LOAD_PHYSICAL_ADDR,
        description="The lowest place that is right. 0x1000000 is LOAD_PHYSICAL_ADDR, CONFIG_PHYSICAL_START.",
        examples=["0x1000000"],
    )


class KernelPlaced(ExpectationValue):
    kernel_placed: PlacedWhere = Field(
        description="`Kernel code` in /proc/iomem begins at or above that address in every epoch; the kernel covers "
        "only memory that was free at the hand-off, no range that firmware occupies; and no page allocation failed."
    )


MemoryMapExpectation = KernelPlaced
