"""Where the EFI agent's frames say that memory is, read in one place: the fields have had other names before
(docs/link-protocol.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.evidence.ranges import PAGE_BYTES, Range


def pages_of(fields: Mapping[str, str]) -> Range:
    """The whole pages of a ``table`` or ``range`` frame. Protocol 1 had their number, and ``address`` for a range.

    Raises:
        KeyError: a field is missing.
        ValueError: one is not a number.
    """
    if "pages_size" in fields:
        return Range.sized(int(fields["pages_address"], 0), int(fields["pages_size"], 0))
    start = fields["pages_address"] if "pages_address" in fields else fields["address"]
    return Range.sized(int(start, 0), int(fields["pages"], 0) * PAGE_BYTES)


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
        """Out of the fields of a ``table`` frame. In protocol 1 ``address`` and ``size`` were the table's.

        Raises:
            KeyError: a field is missing.
            ValueError: one is not a number.
        """
        start, size = ("table_address", "table_size") if "table_address" in fields else ("address", "size")
        return cls(
            name=fields["name"],
            table=Range.sized(int(fields[start], 0), int(fields[size], 0)),
            pages=pages_of(fields),
            acpi=fields.get("acpi", ""),
        )
