"""Every table the harness knows, in one place: how it is made, found, named and read inside.

docs/adding.md says how to add one. Everything else (planning, sampling, canaries, the checks ``table_intact`` and
``kexec_would_overlap``) takes it from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.evidence import acpi
from harness.evidence.defect import Defect
from harness.evidence.ranges import PAGE_BYTES, Range
from harness.evidence.tables import bgrt, esrt, memattr, mokvar, private, rtprop, tpmlog, unaccepted
from harness.evidence.tables.configtable import ConfigTables, address_of
from harness.evidence.tables.shown import DROPPED, Shown
from harness.model import guids
from harness.model.causes import Cause
from harness.model.kernel import Capability
from harness.model.words.tables import TableName

INITRD_BYTES = 16
"""struct linux_efi_initrd: where the initrd begins, and its size (include/linux/efi.h)."""

Reader = Callable[[int, int], bytes]
"""Guest-physical memory: address, bytes."""
Finder = Callable[[ConfigTables, Reader], Range | Defect]


@dataclass(frozen=True)
class Inside:
    """What a running kernel shows of a table."""

    facts: tuple[str, ...]
    """The guest's facts that are needed; the first is the one to be cited."""
    differences: Callable[[Shown], Sequence[str]]
    """What the kernel shows otherwise than the bytes say, one line each."""
    agrees: str = "sysfs shows the same values"
    """What is true when there are no differences."""


@dataclass(frozen=True)
class Pointer:
    """The ACPI table by which a kernel finds what is no configuration table."""

    content: bytes
    """Without the address and the checksum."""
    offset: int
    """Where in it the address is."""


@dataclass(frozen=True)
class Late:
    """How a table is found that is not there at the hand-off: by its ``kernel_name`` in the ``efi:`` line of the first
    kernel, when it is up."""

    size: Callable[[bytes], int | Defect]
    """How long it is, from its first bytes."""
    header_bytes: int = PAGE_BYTES
    """How many of them."""


@dataclass(frozen=True)
class Kind:
    """All that is special about one table."""

    word: str
    """The table, for people."""
    how_to_have: str
    """What to do for a run that has one."""
    find: Finder
    """The bytes of firmware's own table, from the list of configuration tables and from memory."""
    kernel_name: str = ""
    """What the kernel calls it in its ``efi:`` line (drivers/firmware/efi/efi.c, common_tables); empty for one that no
    kernel knows, or that it finds otherwise."""
    title: str = ""
    """What is watched, when that is not the table itself."""
    guid: str = ""
    acpi: Pointer | None = None
    """Set in the place of ``guid`` where an ACPI table points to the content."""
    content: Callable[[Any, str], bytes] | None = None
    """The bytes to install, from the request and the run's nonce; None when the agent cannot install one."""
    copied: bool = False
    """The agent installs a copy of firmware's own."""
    inside: Inside | None = None
    """None: no kernel shows anything of it."""
    unseen: str = "no sysfs file shows the {word}; only its bytes were compared"
    """What to say when ``inside`` is None."""
    late: Late | None = None
    """Set for a table that Linux's EFI stub installs, after the hand-off."""
    capability: Capability | None = None
    """What a kernel needs to look at the table at all."""
    reserved: bool = True
    """Does Linux keep its pages (efi_mem_reserve()) when they are boot services memory?"""


def _at(guid: str, most_bytes: int, size: Callable[[bytes], int | Defect]) -> Finder:
    """A finder for a configuration table whose size is in its first ``most_bytes`` bytes."""

    def find(tables: ConfigTables, read: Reader) -> Range | Defect:
        address = address_of(tables, guid)
        if isinstance(address, Defect):
            return address
        size_bytes = size(read(address, most_bytes))
        return size_bytes if isinstance(size_bytes, Defect) else Range.sized(address, size_bytes)

    return find


def _sized(parse: Callable[[bytes], Any]) -> Callable[[bytes], int | Defect]:
    """The ``size_bytes`` of what a parser makes of the bytes."""

    def size(data: bytes) -> int | Defect:
        parsed = parse(data)
        return parsed if isinstance(parsed, Defect) else int(parsed.size_bytes)

    return size


def _nowhere(_tables: ConfigTables, _read: Reader) -> Range | Defect:
    """Tables that only the agent brings: firmware's own cannot be told apart from others, or are of unknown size."""
    return Defect("the scenario installs none")


def _bgrt_image(tables: ConfigTables, read: Reader) -> Range | Defect:
    rsdp = acpi.find_rsdp(tables)
    table = rsdp if isinstance(rsdp, Defect) else acpi.find_table(read, rsdp, "BGRT")
    if isinstance(table, Defect):
        return table
    parsed = bgrt.parse(table.data)
    if isinstance(parsed, Defect):
        return parsed
    return bgrt.image_range(parsed, read(parsed.image_address, bgrt.BMP_HEADER_BYTES))


def _esrt_inside(shown: Shown) -> Sequence[str]:
    parsed = esrt.parse(shown.content)
    if isinstance(parsed, Defect):
        return (f"firmware's own table is bad: {parsed}",)
    return esrt.differences(parsed, esrt.parse_sysfs(shown.text("esrt")))


def _bgrt_inside(shown: Shown) -> Sequence[str]:
    raw = shown.fact("acpi-bgrt") or b""
    if not raw:
        return ("the kernel shows no ACPI table BGRT in /sys/firmware/acpi/tables",)
    table = bgrt.parse(raw)
    if isinstance(table, Defect):
        return (f"the ACPI table BGRT: {table}",)
    if table.image_address != shown.table.start:
        return (
            f"the ACPI table BGRT says that the image is at {table.image_address:#x}, at the hand-off it was at "
            f"{shown.table.start:#x}",
        )
    return bgrt.differences(table, shown.content, bgrt.parse_sysfs(shown.text("bgrt")))


def _install(name: str) -> str:
    return f"Let the scenario install one: firmware: {{tables: [{{{name}: {{below: 0x3c000000}}}}]}}."


_TPM = "Give the machine a TPM, machine: {tpm: tis}, and use a firmware and a kernel that look for one."

KINDS: Mapping[TableName, Kind] = {
    TableName.ESRT: Kind(
        word="ESRT",
        how_to_have=_install("esrt"),
        guid=guids.ESRT,
        kernel_name="ESRT",
        find=_at(guids.ESRT, esrt.HEADER_BYTES + esrt.MAX_ENTRIES * esrt.ENTRY_BYTES, _sized(esrt.parse)),
        content=lambda request, nonce: esrt.build(esrt.make_entries(request.entries, nonce)),
        inside=Inside(("esrt",), _esrt_inside),
        capability=Capability.ESRT,
    ),
    # Of a BGRT the image is watched: it lies in boot services memory, the ACPI table in memory of its own type.
    TableName.BGRT: Kind(
        word="BGRT",
        title="BGRT image",
        how_to_have="OVMF publishes a BGRT when there is a graphics device: machine: {vga: true}. " + _install("bgrt"),
        acpi=Pointer(bgrt.build(), bgrt.POINTER_OFFSET),
        find=_bgrt_image,
        content=lambda request, nonce: bgrt.make_image(request.width, request.height, nonce),
        inside=Inside(("bgrt", "acpi-bgrt"), _bgrt_inside),
        capability=Capability.BGRT,
    ),
    TableName.MEMATTR: Kind(
        word="MEMATTR",
        title="MEMATTR table",
        how_to_have="Use a firmware that publishes the EFI Memory Attributes Table.",
        copied=True,
        guid=guids.MEMATTR,
        kernel_name="MEMATTR",
        find=_at(guids.MEMATTR, memattr.HEADER_BYTES, _sized(memattr.parse)),
        reserved=False,
    ),
    TableName.RTPROP: Kind(
        word="RTPROP table",
        how_to_have=_install("rtprop"),
        guid=guids.RTPROP,
        kernel_name="RTPROP",
        find=_at(guids.RTPROP, rtprop.TABLE_BYTES, _sized(rtprop.parse)),
        content=lambda request, _nonce: rtprop.build(request.mask),
        inside=Inside(("efivarfs",), rtprop.differences, "EFI variables are there or not, as the table says"),
        reserved=False,
    ),
    TableName.MOKVAR: Kind(
        word="MOKvar table",
        how_to_have=_install("mokvar"),
        guid=guids.MOKVAR,
        kernel_name="MOKvar",
        find=_at(guids.MOKVAR, mokvar.MAX_BYTES, mokvar.size_bytes),
        content=lambda request, nonce: mokvar.build(mokvar.make_variables(request.entries, request.size, nonce)),
        inside=Inside(("mok-variables",), mokvar.differences),
        capability=Capability.MOKVAR,
    ),
    TableName.UNACCEPTED: Kind(
        word="unaccepted memory table",
        how_to_have=_install("unaccepted"),
        guid=guids.UNACCEPTED,
        kernel_name="Unaccepted",
        find=_at(guids.UNACCEPTED, unaccepted.HEADER_BYTES, _sized(unaccepted.parse)),
        content=lambda request, _nonce: unaccepted.build(
            base=request.base, size_bytes=request.size, unit_bytes=request.unit
        ),
        inside=Inside(("meminfo",), unaccepted.differences, "the kernel has found it and accepts nothing by it"),
        capability=Capability.UNACCEPTED_MEMORY,
        reserved=False,
    ),
    TableName.INITRD: Kind(
        word="INITRD table",
        how_to_have="Linux's EFI stub installs it after the hand-off; use kexec: {initrd: none}.",
        guid=guids.INITRD,
        kernel_name="INITRD",
        find=_nowhere,
        late=Late(lambda _data: INITRD_BYTES),
        unseen="no kernel shows the {word}; only its bytes were compared",
        reserved=False,
    ),
    TableName.TPM_LOG: Kind(
        word="TPM event log",
        how_to_have=_TPM,
        guid=guids.TPM_LOG,
        kernel_name="TPMEventLog",
        find=_nowhere,
        late=Late(_sized(tpmlog.parse_header), tpmlog.HEADER_BYTES),
        inside=Inside((tpmlog.FACT,), tpmlog.differences, "binary_bios_measurements begins with the same log"),
        reserved=False,
    ),
    # Firmware's own, but it is complete only when firmware has ended its boot services.
    TableName.TPM_FINAL_LOG: Kind(
        word="TPM final events table",
        how_to_have=_TPM,
        guid=guids.TPM_FINAL_LOG,
        kernel_name="TPMFinalLog",
        find=_nowhere,
        late=Late(_sized(tpmlog.parse_final), tpmlog.MAX_FINAL_BYTES),
        inside=Inside((tpmlog.FACT,), tpmlog.final_differences, "binary_bios_measurements ends with the same event"),
        reserved=False,
    ),
    TableName.PRIVATE: Kind(
        word="private table",
        how_to_have=_install("private"),
        find=_nowhere,
        content=lambda request, nonce: private.build(request.size, nonce),
        unseen="no kernel knows or shows the {word}; only its bytes were compared",
        reserved=False,
    ),
}


TPM_TABLES = frozenset({TableName.TPM_LOG, TableName.TPM_FINAL_LOG})
"""Those that a kernel shows only when its driver has found the TPM."""


def title(name: TableName) -> str:
    """What of a table is watched, for people."""
    return KINDS[name].title or KINDS[name].word


def put_aside(name: TableName) -> str:
    """What the ``efi:`` line of a kernel has for a table that it will not use (EFI_INVALID_TABLE_ADDR)."""
    return f"{KINDS[name].kernel_name}={DROPPED:#x}"


def corrupt(name: TableName) -> Cause:
    """The cause of a FAIL for a table whose bytes have changed."""
    return Cause[f"{name.name}_CORRUPT"]
