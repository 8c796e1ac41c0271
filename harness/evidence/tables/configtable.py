"""The list of configuration tables (UEFI 2.10, 4.6): as the EFI agent tells it, as it lies in memory."""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Iterable, Mapping

from harness.evidence.defect import Defect

ConfigTables = Mapping[str, int]
"""GUID, in lower case, to the address of its table; in the order of the list."""
_ENTRY = struct.Struct("<16sQ")
ENTRY_BYTES = _ENTRY.size
"""EFI_CONFIGURATION_TABLE of 64-bit firmware."""
_LINE = re.compile(r"(?P<guid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}) (?P<address>0x[0-9a-f]{1,16})")


def parse_listing(text: str) -> ConfigTables | Defect:
    """The body of the agent's ``systab`` frame: a line ``GUID 0xADDRESS`` for each table."""
    found = []
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip().lower())
        if match is not None:
            found.append((match["guid"], int(match["address"], 16)))
        elif line.strip():
            return Defect(f"not a GUID and an address: {line!r}")
    return _first(found)


def parse_array(data: bytes) -> ConfigTables:
    """The bytes of the array; those of an entry that is cut off are left out."""
    whole = data[: len(data) - len(data) % ENTRY_BYTES]
    return _first((str(uuid.UUID(bytes_le=guid)), address) for guid, address in _ENTRY.iter_unpack(whole))


def address_of(tables: ConfigTables, guid: str) -> int | Defect:
    """Where the table with this GUID is."""
    return tables[guid] if guid in tables else Defect("no configuration table with its GUID")


def _first(pairs: Iterable[tuple[str, int]]) -> ConfigTables:
    """Firmware lists no GUID twice; where a damaged list does, the EFI agent takes the first."""
    found: dict[str, int] = {}
    for guid, address in pairs:
        found.setdefault(guid, address)
    return found
