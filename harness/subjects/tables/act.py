"""Where the watched tables lie, found from outside at the hand-off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.evidence import klog
from harness.evidence.defect import Defect
from harness.evidence.ranges import Range
from harness.evidence.tables.configtable import ConfigTables, parse_listing
from harness.evidence.tables.kinds import KINDS, Reader
from harness.machine.frame import Frame
from harness.model.plan import Plan
from harness.model.words.tables import TableName
from harness.record.frames import InstalledTable
from harness.stage.watch import Unwatched, Watch

_MAX_BYTES = 64 * 2**20
"""More is a damaged header: sampled at every border, it would fill the disk."""


def locate(plan: Plan, frames: list[Frame], read: Reader) -> Iterator[Watch | Unwatched]:
    """A Watch for each table of the plan's watch list, or why there is none."""
    systab = next((frame for frame in frames if frame.kind == "systab"), None)
    listed = parse_listing(systab.body.decode("ascii", "replace")) if systab else {}
    for name in plan.watch:
        installed = _installed(name, frames, listed, read)
        if installed is None and KINDS[name].late is not None:
            continue
        found = installed or _own(name, listed, read)
        if isinstance(found, Watch) and found.pages.size_bytes > _MAX_BYTES:
            found = Defect(f"it claims {found.pages.size_bytes} bytes, more than a table can have")
        yield Unwatched(name, str(found)) if isinstance(found, Defect) else found


def late_tables(plan: Plan) -> tuple[TableName, ...]:
    """The watched tables that are not there before the EFI stub has run."""
    installed = {table.name for table in plan.tables}
    return tuple(name for name in plan.watch if KINDS[name].late is not None and name not in installed)


def locate_late(plan: Plan, lines: Sequence[klog.Line], read: Reader) -> Iterator[Watch | Unwatched]:
    """As ``locate``, for the tables that the EFI stub has installed, by what the first kernel has printed."""
    tables = klog.config_tables(lines)
    for name in late_tables(plan):
        late = KINDS[name].late
        address = tables[0].get(KINDS[name].kernel_name) if tables else None
        if address is None or late is None:
            yield Unwatched(name, "the first kernel's efi: line does not list it")
            continue
        size_bytes = late.size(read(address, late.header_bytes))
        if isinstance(size_bytes, Defect):
            yield Unwatched(name, str(size_bytes))
            continue
        table = Range.sized(address, size_bytes)
        yield Watch(name, table, table)


def _installed(
    name: TableName, frames: list[Frame], listed: ConfigTables | Defect, read: Reader
) -> Watch | Defect | None:
    """A table that the agent says it has installed. Through ACPI, it must be the one that a kernel would find."""
    for frame in frames:
        if frame.kind == "table" and frame.fields.get("name") == name.value:
            said = InstalledTable.read(frame.fields)
            found = _found(name, listed, read) if KINDS[name].acpi else said.table
            if isinstance(found, Range) and found != said.table:
                found = Defect(
                    f"the agent has installed it at {said.table}, but the first one in firmware's tables is {found}"
                )
            return found if isinstance(found, Defect) else Watch(name, said.pages, said.table)
    return None


def _found(name: TableName, listed: ConfigTables | Defect, read: Reader) -> Range | Defect:
    """Where firmware's tables say that it is."""
    return listed if isinstance(listed, Defect) else KINDS[name].find(listed, read)


def _own(name: TableName, listed: ConfigTables | Defect, read: Reader) -> Watch | Defect:
    """Firmware's own table."""
    table = _found(name, listed, read)
    return table if isinstance(table, Defect) else Watch(name, table, table)
