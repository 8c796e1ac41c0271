"""ACPI tables through RSDP and XSDT (ACPI 6.5, 5.2.5 to 5.2.8), out of recorded memory."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.evidence.defect import Defect
from harness.evidence.ranges import Range
from harness.evidence.tables.configtable import ConfigTables
from harness.model import guids

HEADER_BYTES = 36
_MAX_TABLE_BYTES = 16 * 2**20
_MAX_TABLES = 1024

Reader = Callable[[int, int], bytes]
"""``read(address, size_bytes)`` of guest-physical memory. It raises LookupError for memory that was not recorded."""


@dataclass(frozen=True)
class AcpiTable:
    signature: str
    address: int
    data: bytes
    """The whole table with its 36-byte header."""

    @property
    def range(self) -> Range:
        return Range.sized(self.address, len(self.data))


def find_rsdp(tables: ConfigTables) -> int | Defect:
    """The RSDP's address."""
    address = tables.get(guids.ACPI20)
    return Defect("firmware has no ACPI 2.0 configuration table") if address is None else address


def tables(read: Reader, rsdp_address: int) -> tuple[AcpiTable, ...] | Defect:
    """Every table the XSDT names, in its order; checksums verified, sizes and counts bounded.

    A table with a bad checksum or size makes the whole walk a Defect that names it.
    """
    found: list[AcpiTable] = []
    for item in _walk(read, rsdp_address):
        table = item if isinstance(item, Defect) else _table(read, *item)
        if isinstance(table, Defect):
            return table
        found.append(table)
    return tuple(found)


def find_table(read: Reader, rsdp_address: int, signature: str) -> AcpiTable | Defect:
    """The first table with this four-character signature. Only it and the tables on the way are verified.

    Returns a Defect with ``absent`` in its text when the XSDT does not name one.
    """
    for item in _walk(read, rsdp_address):
        if isinstance(item, Defect):
            return item
        if item[1] == signature:
            return _table(read, *item)
    return Defect(f"ACPI table {signature} is absent: the XSDT does not name one")


def checksum_ok(data: bytes) -> bool:
    """Do all bytes add up to zero (modulo 256)? Never true of no bytes."""
    return bool(data) and sum(data) % 256 == 0


def _walk(read: Reader, rsdp_address: int) -> Iterator[tuple[int, str] | Defect]:
    """Address and signature of each table the XSDT names; a Defect ends the walk."""
    rsdp = _bytes(read, rsdp_address, 36, "the RSDP")
    if isinstance(rsdp, Defect):
        yield rsdp
        return
    if not rsdp.startswith(b"RSD PTR ") or not checksum_ok(rsdp[:20]) or not checksum_ok(rsdp):
        yield Defect(f"no valid RSDP at {rsdp_address:#x}: {rsdp[:8]!r}, or its checksum is wrong")
        return
    (xsdt_address,) = struct.unpack_from("<Q", rsdp, 24)
    xsdt = _table(read, xsdt_address, "XSDT")
    if isinstance(xsdt, Defect):
        yield xsdt
        return
    count, rest = divmod(len(xsdt.data) - HEADER_BYTES, 8)
    if rest or count > _MAX_TABLES:
        yield Defect(f"the XSDT at {xsdt_address:#x} has an impossible length of {len(xsdt.data)} bytes")
        return
    for (address,) in struct.iter_unpack("<Q", xsdt.data[HEADER_BYTES:]):
        name = _bytes(read, address, 4, "an ACPI table's signature")
        if isinstance(name, Defect):
            yield name
            return
        yield address, name.decode("ascii", "backslashreplace")


def _table(read: Reader, address: int, signature: str) -> AcpiTable | Defect:
    header = _bytes(read, address, HEADER_BYTES, f"ACPI table {signature}")
    if isinstance(header, Defect):
        return header
    size_bytes = int.from_bytes(header[4:8], "little")
    if header[:4] != signature.encode("ascii", "replace") or not HEADER_BYTES <= size_bytes <= _MAX_TABLE_BYTES:
        return Defect(f"no ACPI table {signature} at {address:#x}: {header[:4]!r}, {size_bytes} bytes")
    data = _bytes(read, address, size_bytes, f"ACPI table {signature}")
    if isinstance(data, Defect):
        return data
    if not checksum_ok(data):
        return Defect(f"the checksum of ACPI table {signature} at {address:#x} is wrong")
    return AcpiTable(signature, address, data)


def _bytes(read: Reader, address: int, size_bytes: int, what: str) -> bytes | Defect:
    where = Range.sized(address, size_bytes)
    try:
        data = read(address, size_bytes)
    except LookupError:
        return Defect(f"{what} at {where} was not recorded")
    if len(data) != size_bytes:
        return Defect(f"{what} at {where} was recorded only in part: {len(data)} of {size_bytes} bytes")
    return data
