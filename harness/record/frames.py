"""Frames of the EFI agent, read in one place: their fields have had other names before (docs/link-protocol.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.evidence.ranges import PAGE_BYTES, Range


@dataclass(frozen=True)
class InstalledTable:
    """A table that the EFI agent says it has installed: a ``table`` frame."""

    name: str
    table: Range
    """The table itself."""
    pages: Range
    """The whole pages that it lies in; the rest of them is canaries."""
    acpi: str
    """The signature of the ACPI table that points to it; empty where a GUID does."""

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> InstalledTable:
        """Out of the fields of a ``table`` frame.

        Raises:
            KeyError: a field is missing.
            ValueError: one is not a number.
        """
        new = _renamed(fields) if "pages_size" not in fields else fields
        return cls(
            name=new["name"],
            table=Range.sized(int(new["table_address"], 0), int(new["table_size"], 0)),
            pages=Range.sized(int(new["pages_address"], 0), int(new["pages_size"], 0)),
            acpi=new.get("acpi", ""),
        )


def _renamed(fields: Mapping[str, str]) -> Mapping[str, str]:
    """The fields of protocol 1, where ``address`` and ``size`` were the table's and ``pages`` a number of pages."""
    return {
        **fields,
        "table_address": fields["address"],
        "table_size": fields["size"],
        "pages_size": str(int(fields["pages"], 0) * PAGE_BYTES),
    }
