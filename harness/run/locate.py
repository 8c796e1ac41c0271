"""Where the watched tables lie, found from outside at the hand-off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.evidence import acpi, bgrt, esrt, memattr
from harness.evidence.defect import Defect
from harness.evidence.ranges import Range
from harness.machine.frame import Frame
from harness.model.names import TableName
from harness.model.plan import GUID_ESRT, GUID_MEMATTR, Plan

Reader = Callable[[int, int], bytes]
_MAX_BYTES = 64 * 2**20
"""More is a damaged header: sampled at every border, it would fill the disk."""


@dataclass(frozen=True)
class Watch:
    """Memory to sample at every border: whole pages for a table with canaries, else the table's own bytes."""

    name: TableName
    pages: Range
    table: Range


def locate(plan: Plan, frames: list[Frame], read: Reader) -> Iterator[Watch | str]:
    """A Watch for each table of the plan's watch list, or the reason why there is none (``NAME: reason``)."""
    systab = next((frame for frame in frames if frame.kind == "systab"), None)
    listing = systab.body.decode("ascii", "replace") if systab else ""
    for name in plan.watch:
        found = _LOCATORS[name](frames, listing, read)
        if isinstance(found, Watch) and found.pages.size_bytes > _MAX_BYTES:
            found = Defect(f"it claims {found.pages.size_bytes} bytes, more than a table can have")
        yield f"{name}: {found}" if isinstance(found, Defect) else found


def _config_table(listing: str, guid: str) -> int | None:
    for line in listing.splitlines():
        words = line.split()
        if len(words) == 2 and words[0].lower() == guid:
            return int(words[1], 16)
    return None


def _esrt(frames: list[Frame], listing: str, read: Reader) -> Watch | Defect:
    for frame in frames:
        if frame.kind == "table" and frame.fields.get("name") == TableName.ESRT.value:
            fields = {key: int(frame.fields[key], 0) for key in ("address", "size", "pages_address", "pages")}
            pages = Range.sized(fields["pages_address"], fields["pages"] * 4096)
            return Watch(TableName.ESRT, pages, Range.sized(fields["address"], fields["size"]))
    address = _config_table(listing, GUID_ESRT)
    if address is None:
        return Defect("no configuration table with its GUID")
    parsed = esrt.parse(read(address, esrt.HEADER_BYTES + 128 * esrt.ENTRY_BYTES))
    if isinstance(parsed, Defect):
        return parsed
    table = Range.sized(address, parsed.size_bytes)
    return Watch(TableName.ESRT, table, table)


def _bgrt(_frames: list[Frame], listing: str, read: Reader) -> Watch | Defect:
    rsdp = acpi.find_rsdp(listing)
    table = rsdp if isinstance(rsdp, Defect) else acpi.find_table(read, rsdp, "BGRT")
    if isinstance(table, Defect):
        return table
    parsed = bgrt.parse(table.data)
    if isinstance(parsed, Defect):
        return parsed
    image = bgrt.image_range(parsed, read(parsed.image_address, bgrt.BMP_HEADER_BYTES))
    return image if isinstance(image, Defect) else Watch(TableName.BGRT, image, image)


def _memattr(_frames: list[Frame], listing: str, read: Reader) -> Watch | Defect:
    address = _config_table(listing, GUID_MEMATTR)
    if address is None:
        return Defect("no configuration table with its GUID")
    parsed = memattr.parse(read(address, memattr.HEADER_BYTES))
    if isinstance(parsed, Defect):
        return parsed
    table = Range.sized(address, parsed.size_bytes)
    return Watch(TableName.MEMATTR, table, table)


_LOCATORS: dict[TableName, Callable[[list[Frame], str, Reader], Watch | Defect]] = {
    TableName.ESRT: _esrt,
    TableName.BGRT: _bgrt,
    TableName.MEMATTR: _memattr,
}
