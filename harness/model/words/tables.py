"""The tables that a scenario can have the EFI agent install: one class each, and their one placement."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from harness.model import guids
from harness.model.base import Address, ExpectationValue, Size, Value
from harness.model.names import MemoryType
from harness.model.page import PAGE_BYTES

if TYPE_CHECKING:
    from harness.model.scenario import Scenario

TABLE_OFFSET = 0x100
"""Where a table begins in the whole pages that are taken for it: canaries stand before and behind it."""
MAX_CONTENT_BYTES = 4 * 2**20
_GUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
ALL_SERVICES = 0x3FFF
"""Every bit of EFI_RT_PROPERTIES_TABLE.RuntimeServicesSupported (UEFI 2.10, 4.6.2)."""


class TableName(StrEnum):
    """The tables the harness can sample from outside and judge."""

    ESRT = "esrt"
    BGRT = "bgrt"
    MEMATTR = "memattr"
    RTPROP = "rtprop"
    MOKVAR = "mokvar"
    UNACCEPTED = "unaccepted"
    INITRD = "initrd"
    TPM_LOG = "tpm-log"
    """The EFI stub's copy of firmware's TPM event log."""
    TPM_FINAL_LOG = "tpm-final-log"
    """What firmware has measured since."""
    PRIVATE = "private"


class Placement(Value):
    """Where a table goes, and in which memory; the rest of its pages is canaries."""

    memory: MemoryType = Field(
        default=MemoryType.BOOT_SERVICES_DATA,
        description="EFI memory type of the pages that hold the table.",
    )
    below: Address | None = Field(
        default=None,
        description="Take the highest free pages that end at or below this address (4 KiB aligned); the table begins "
        f"{TABLE_OFFSET:#x} bytes into them.",
        examples=["0x3c000000"],
    )
    at: Address | None = Field(
        default=None,
        description="Take exactly the pages that begin at this address (4 KiB aligned); the table itself begins "
        f"{TABLE_OFFSET:#x} bytes behind it.",
    )
    listed: bool = Field(
        default=True,
        description="false: no descriptor of the memory map covers the pages, as with firmware that forgets them "
        "(64-bit firmware).",
    )

    @model_validator(mode="after")
    def _one_place(self) -> Placement:
        if (self.below is None) == (self.at is None):
            raise ValueError("say either 'below' or 'at'")
        place = self.below if self.at is None else self.at
        if place is not None and place % PAGE_BYTES:
            raise ValueError(f"0x{place:x} is not a multiple of the 4 KiB page")
        return self


class EsrtRequest(Placement):
    """An EFI System Resource Table (UEFI 2.10, 23.4) that the EFI agent installs, canaries round it."""

    entries: int = Field(default=3, ge=1, le=96, description="Number of ESRT entries (40 bytes each).")


class BgrtRequest(Placement):
    """A Boot Graphics Resource Table (ACPI 6.5, 5.2.23). The placement is that of its image."""

    width: int = Field(default=96, ge=1, le=1024, description="Width of the image in pixels, 3 bytes each.")
    height: int = Field(default=96, ge=1, le=1024, description="Height of the image in pixels.")


class MemAttrRequest(Placement):
    """A copy of firmware's own EFI Memory Attributes Table (UEFI 2.10, 4.6.4)."""


class RtPropRequest(Placement):
    """An EFI_RT_PROPERTIES_TABLE (UEFI 2.10, 4.6.2): which runtime services firmware has."""

    mask: int = Field(
        default=ALL_SERVICES,
        ge=0,
        le=ALL_SERVICES,
        description="RuntimeServicesSupported, bit by bit: 0x10 GetVariable, 0x20 GetNextVariableName, 0x40 "
        "SetVariable.",
    )


class MokVarRequest(Placement):
    """The table in which shim hands its Machine Owner Key variables to the kernel, in one piece."""

    entries: int = Field(default=3, ge=1, le=64, description="Number of variables.")
    size: Size = Field(default=64, ge=1, le=2**20, description="Bytes of data in each variable.")

    @model_validator(mode="after")
    def _not_too_large(self) -> MokVarRequest:
        if self.entries * self.size > MAX_CONTENT_BYTES:
            raise ValueError(f"{self.entries} entries of {self.size} bytes are more than 4MiB")
        return self


class UnacceptedRequest(Placement):
    """The EFI stub's table of memory that is not accepted yet, with a bitmap of zeros: all is accepted."""

    base: Address = Field(default=0x100000, description="Where the memory begins that the bitmap is about.")
    size: Size = Field(default=2**30, ge=1, description="Bytes of memory that the bitmap is about.")
    unit: Size = Field(default=2**21, ge=2**12, description="Bytes of memory for each bit.")

    @model_validator(mode="after")
    def _whole_units(self) -> UnacceptedRequest:
        if self.unit & (self.unit - 1) or -(-self.size // self.unit) > 8 * MAX_CONTENT_BYTES:
            raise ValueError("unit must be a power of two, and the bitmap at most 4MiB")
        return self


class PrivateRequest(Placement):
    """A configuration table that no kernel knows: bytes of this run under a GUID of nobody."""

    guid: str = Field(
        default=guids.PRIVATE, pattern=_GUID, description="The table's GUID, in lower case.", examples=[guids.PRIVATE]
    )
    size: Size = Field(default=256, ge=1, le=MAX_CONTENT_BYTES, description="Bytes of the table.")


class OneTable(Value):
    """A mapping with one key: a TableName, with ``_`` for ``-``."""

    @property
    def _key(self) -> str:
        return next(iter(type(self).model_fields))

    @property
    def name(self) -> TableName:
        return TableName(self._key.replace("_", "-"))

    @property
    def request(self) -> Placement:
        """What stands under the key."""
        found: Placement = getattr(self, self._key)
        return found


class EsrtTable(OneTable):
    esrt: EsrtRequest = Field(description="An EFI System Resource Table; the UEFI spec asks for boot-services-data.")


class BgrtTable(OneTable):
    bgrt: BgrtRequest = Field(
        description="A boot logo, by an ACPI table BGRT. Not with machine: {vga: true}, where OVMF has one of its own."
    )


class MemAttrTable(OneTable):
    memattr: MemAttrRequest = Field(
        description="MEMATTR, copied from firmware's own. Not with a runtime driver: firmware then makes a new one."
    )


class RtPropTable(OneTable):
    rtprop: RtPropRequest = Field(description="RTPROP: the runtime services that firmware has. Linux reads it once.")


class MokVarTable(OneTable):
    mokvar: MokVarRequest = Field(description="MOKvar: shim's variables. Linux keeps it for good.")


class UnacceptedTable(OneTable):
    unaccepted: UnacceptedRequest = Field(
        description="Memory to be accepted before it is used: none, here. Linux reads it all the time."
    )


class PrivateTable(OneTable):
    private: PrivateRequest = Field(description="A table with a GUID that no kernel knows, and so nobody keeps.")


_TABLES = (
    *(TableName.ESRT, TableName.BGRT, TableName.MEMATTR, TableName.RTPROP, TableName.MOKVAR),
    *(TableName.UNACCEPTED, TableName.PRIVATE),
)


def _table_tag(table: Any) -> str | None:
    for name in _TABLES:
        if hasattr(table, name) or (isinstance(table, dict) and name in table):
            return name.value
    return None


TableRequest = Annotated[
    Annotated[EsrtTable, Tag("esrt")]
    | Annotated[BgrtTable, Tag("bgrt")]
    | Annotated[MemAttrTable, Tag("memattr")]
    | Annotated[RtPropTable, Tag("rtprop")]
    | Annotated[MokVarTable, Tag("mokvar")]
    | Annotated[UnacceptedTable, Tag("unaccepted")]
    | Annotated[PrivateTable, Tag("private")],
    Discriminator(
        _table_tag,
        custom_error_type="table",
        custom_error_message=f"is not a table that can be installed; allowed: {', '.join(_TABLES)}",
    ),
]
"""One table to install before the kernel starts. To add one: a request, a class with one key, its name here, and its
Kind in harness/evidence/tables/kinds.py."""


class TableIntact(ExpectationValue):
    table_intact: TableName = Field(
        description="The table's bytes, read from outside at every epoch border, are what firmware handed over; "
        "its canaries too; and what the kernel shows of it in sysfs agrees."
    )

    def vacuous(self, scenario: Scenario) -> str:
        return _no_tpm(scenario, self.table_intact)


class KexecWouldOverlap(ExpectationValue):
    kexec_would_overlap: TableName = Field(
        description="Proof that the run can find the bug at all: a kexec segment covers the table, or would have "
        "covered it had the kernel not kept the table's pages reserved."
    )

    def vacuous(self, scenario: Scenario) -> str:
        return _no_tpm(scenario, self.kexec_would_overlap)


class NoRamdisk(ExpectationValue):
    no_ramdisk: Literal[True] = Field(
        default=True,
        description="The last kernel, which a kexec with `initrd: none` starts, finds no initrd: it prints no "
        "`RAMDISK:` line and comes to where a kernel without a root file system ends, `Unable to mount root fs`; "
        "although the EFI stub's INITRD table of the first boot is in its list of tables.",
    )


def _no_tpm(scenario: Scenario, name: TableName) -> str:
    if name in (TableName.TPM_LOG, TableName.TPM_FINAL_LOG) and scenario.machine.tpm is None:
        return f"{name} needs a machine with a TPM: machine: {{tpm: tis}} or {{tpm: crb}}"
    return ""


TablesExpectation = TableIntact | KexecWouldOverlap | NoRamdisk
