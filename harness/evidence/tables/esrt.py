"""The EFI System Resource Table (UEFI 2.10, 23.4) and what Linux shows of it in sysfs."""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields

from harness.evidence.defect import Defect

HEADER_BYTES = 16
ENTRY_BYTES = 40
MAX_ENTRIES = 128
"""Linux refuses more (drivers/firmware/efi/esrt.c, "I'm making up 128")."""
_HEADER = struct.Struct("<IIQ")
_ENTRY = struct.Struct("<16s6I")
_ABSENT = "absent"


@dataclass(frozen=True)
class EsrtEntry:
    """EFI_SYSTEM_RESOURCE_ENTRY, version 1. All numbers are unsigned 32 bit."""

    fw_class: str
    """A GUID, in lower case, as sysfs prints it."""
    fw_type: int
    fw_version: int
    lowest_supported_fw_version: int
    capsule_flags: int
    last_attempt_version: int
    last_attempt_status: int


@dataclass(frozen=True)
class Esrt:
    """The table, from its bytes or from sysfs. Entry N of the table is ``entries/entryN`` of sysfs."""

    count: int
    count_max: int
    version: int
    entries: tuple[EsrtEntry, ...]

    @property
    def size_bytes(self) -> int:
        return HEADER_BYTES + ENTRY_BYTES * self.count


def make_entries(count: int, nonce: str) -> tuple[EsrtEntry, ...]:
    """``count`` entries that differ in every field and from those of any other run.

    Args:
        nonce: the run's eight hexadecimal digits; they are the first part of each ``fw_class``.

    Raises:
        ValueError: more than 128 entries, or a nonce of another form.
    """
    if not 0 <= count <= MAX_ENTRIES:
        raise ValueError(f"{count} ESRT entries; Linux takes at most {MAX_ENTRIES}")
    if re.fullmatch("[0-9a-f]{8}", nonce) is None:
        raise ValueError(f"nonce {nonce!r} is not eight lower case hexadecimal digits")
    return tuple(
        EsrtEntry(
            fw_class=f"{nonce}-e517-4{number:03x}-8{number:03x}-{number:012x}",
            fw_type=1 + number % 3,  # system firmware, device firmware, UEFI driver
            fw_version=0x00010000 + number,
            lowest_supported_fw_version=0x00000100 + number,
            capsule_flags=0x00010000 + number,  # CAPSULE_FLAGS_PERSIST_ACROSS_RESET and the OEM's low 16 bits
            last_attempt_version=0x00020000 + number,
            last_attempt_status=number % 9,  # 0 success to 8 unsatisfied dependencies
        )
        for number in range(count)
    )


def build(entries: Sequence[EsrtEntry]) -> bytes:
    """The table's bytes, version 1, ``fw_resource_count_max`` equal to the count (at least 1, as the spec asks)."""
    data = _HEADER.pack(len(entries), max(1, len(entries)), 1)
    for entry in entries:
        first, *rest = (getattr(entry, field.name) for field in fields(entry))
        data += _ENTRY.pack(uuid.UUID(first).bytes_le, *rest)
    return data


def parse(data: bytes) -> Esrt | Defect:
    """Decode a table as Linux would (drivers/firmware/efi/esrt.c); bytes after its end are ignored.

    Linux compares the sizes with the EFI memory descriptor that holds the table; here ``data`` is that limit.
    """
    if len(data) < HEADER_BYTES:
        return Defect(f"{len(data)} bytes do not hold the 16-byte ESRT header", "ESRT header doesn't fit")
    count, count_max, version = _HEADER.unpack_from(data)
    if version != 1:
        signed = version - 2**64 if version >> 63 else version
        return Defect(f"ESRT version is {version:#x}, not 1", f"Unsupported ESRT version {signed}.")
    if count > MAX_ENTRIES:
        signed = count - 2**32 if count >> 31 else count
        return Defect(
            f"ESRT claims {count} entries; Linux takes at most {MAX_ENTRIES}",
            f"ESRT says fw_resource_count has very large value {signed}.",
        )
    if len(data) < HEADER_BYTES + count * ENTRY_BYTES:
        return Defect(f"{len(data)} bytes do not hold {count} ESRT entries", "ESRT does not fit")
    entries = tuple(
        EsrtEntry(str(uuid.UUID(bytes_le=first)), *rest)
        for first, *rest in _ENTRY.iter_unpack(data[HEADER_BYTES:][: count * ENTRY_BYTES])
    )
    return Esrt(count, count_max, version, entries)


def parse_sysfs(text: str) -> Esrt | Defect | None:
    """Decode the guest's ``esrt`` fact; None when the guest says ``absent``.

    The fact is a ``path=value`` line a file below /sys/firmware/efi/esrt, in any order. The kernel names entry N of
    the table ``entryN`` (register_entries() in drivers/firmware/efi/esrt.c), so the numbers give the order, and a
    directory listing's ``entry10`` before ``entry2`` does not matter.
    """
    if text.strip() == _ABSENT:
        return None
    values: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        path, equals, value = line.partition("=")
        if not equals:
            return Defect(f"the esrt fact has a line without '=': {line!r}")
        values[path.rpartition("esrt/")[2]] = value.strip()
    found = {int(m[1]) for path in values if (m := re.fullmatch(r"entries/entry(\d+)/\w+", path))}
    try:
        entries = tuple(_sysfs_entry(values, number) for number in sorted(found))
        count, count_max, version = (
            int(values[f"fw_resource_{name}"], 0) for name in ("count", "count_max", "version")
        )
    except KeyError as error:
        return Defect(f"the esrt fact lacks {error.args[0]}")
    except ValueError as error:
        return Defect(f"the esrt fact has a bad value: {error}")
    if found != set(range(len(found))):
        return Defect(f"the esrt fact has a gap in its entries: {sorted(found)}")
    return Esrt(count, count_max, version, entries)


def _sysfs_entry(values: dict[str, str], number: int) -> EsrtEntry:
    first, *rest = (values[f"entries/entry{number}/{field.name}"] for field in fields(EsrtEntry))
    return EsrtEntry(str(uuid.UUID(first)), *(int(value, 0) for value in rest))


def differences(esrt: Esrt, sysfs: Esrt | Defect | None) -> tuple[str, ...]:
    """What the kernel shows otherwise than the table says, one line each; empty when all agrees."""
    if sysfs is None:
        return ("the kernel shows no ESRT in /sys/firmware/efi/esrt",)
    if isinstance(sysfs, Defect):
        return (sysfs.text,)
    found = [
        f"fw_resource_{name} is {getattr(sysfs, name)} in sysfs, {getattr(esrt, name)} in the table"
        for name in ("count", "count_max", "version")
        if getattr(sysfs, name) != getattr(esrt, name)
    ]
    if len(sysfs.entries) != len(esrt.entries):
        found.append(f"{len(sysfs.entries)} entries in sysfs, {len(esrt.entries)} in the table")
    for number, (ours, theirs) in enumerate(zip(esrt.entries, sysfs.entries, strict=False)):
        found += [
            f"entry{number}/{field.name} is {getattr(theirs, field.name)} in sysfs, "
            f"{getattr(ours, field.name)} in the table"
            for field in fields(EsrtEntry)
            if getattr(theirs, field.name) != getattr(ours, field.name)
        ]
    return tuple(found)
