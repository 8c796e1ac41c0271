"""A memory map to look at: its columns (one a map), the marks beside them, and both as text. No effects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from harness.evidence.defect import Defect
from harness.evidence.listings.entries import LogEntry, LogMap, MapKind, Remark, contradictions
from harness.evidence.maps import e820
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.maps.iomem import CRASH_KERNEL, Resource
from harness.evidence.ranges import Range
from harness.model.record import FrameEntry
from harness.record.frames import InstalledTable
from harness.record.observations import Observations

_RAMDISK = re.compile(r"RAMDISK: \[mem (?P<start>0x[0-9a-f]+)-(?P<last>0x[0-9a-f]+)\]")
"""reserve_initrd(), arch/x86/kernel/setup.c"""


class Kind(StrEnum):
    """What a piece of memory is; each has its colour."""

    FREE = "free memory, System RAM"
    LOADER = "loader"
    BOOT = "boot services"
    RUNTIME = "runtime services"
    ACPI = "ACPI"
    RESERVED = "reserved"
    DEVICE = "devices"
    UNUSABLE = "unusable"
    OTHER = "other"
    KERNEL = "kernel"
    INITRD = "initrd"
    TABLE = "table"
    CANARY = "occupied by the agent"
    CRASH = "crash kernel"
    NEXT = "loaded by kexec"


_EFI_KINDS = (
    *(Kind.RESERVED, Kind.LOADER, Kind.LOADER, Kind.BOOT, Kind.BOOT, Kind.RUNTIME, Kind.RUNTIME, Kind.FREE),
    *(Kind.UNUSABLE, Kind.ACPI, Kind.ACPI, Kind.DEVICE, Kind.DEVICE, Kind.RESERVED, Kind.OTHER, Kind.OTHER),
)
_LINUX_KINDS = {
    "System RAM": Kind.FREE,
    "Reserved": Kind.RESERVED,
    "reserved": Kind.RESERVED,
    "ACPI Tables": Kind.ACPI,
    "ACPI Non-volatile Storage": Kind.ACPI,
    "Unusable memory": Kind.UNUSABLE,
}
_JOINED = (Kind.LOADER, Kind.BOOT)
"""Code and data of these alternate in small pieces, which say nothing once boot services have ended."""


@dataclass(frozen=True)
class Block:
    """A piece of a map, or a mark beside it."""

    range: Range
    label: str
    kind: Kind

    def row(self) -> dict[str, object]:
        """For JSON: addresses as numbers, the end not inside."""
        return {"start": self.range.start, "end": self.range.end, "label": self.label, "kind": self.kind.name.lower()}


@dataclass(frozen=True)
class Column:
    """One map: its blocks, which do not overlap, and what lies where in it."""

    title: str
    where: str
    """The file that it was read from."""
    blocks: tuple[Block, ...]
    marks: tuple[Block, ...] = ()
    before: int | None = None
    """The index of the column that it is a later state of."""
    kind: MapKind = MapKind.EFI
    entries: tuple[LogEntry, ...] = ()
    """One by one, as firmware or the log has them; of /proc/iomem and /sys/firmware/memmap of a run there are none."""
    remarks: tuple[Remark, ...] = ()

    def row(self) -> dict[str, object]:
        return {
            "title": self.title,
            "kind": self.kind.value,
            "file": self.where,
            "blocks": [item.row() for item in self.blocks],
            "marks": [item.row() for item in self.marks],
            "entries": [_entry_row(item) for item in self.entries],
            "remarks": [{"line": item.line, "text": item.text} for item in self.remarks],
        }


def _entry_row(entry: LogEntry) -> dict[str, object]:
    region, told = entry.region, not entry.words
    return {
        "number": entry.number,
        "start": region.range.start,
        "end": region.range.end,
        "type": entry.words or region.type_name,
        "type_number": region.type if told else None,
        "attributes": region.attributes if entry.attributes_known else None,
        "attribute_names": list(region.attribute_names) if entry.attributes_known else None,
        "depth": entry.depth,
        "line": entry.line or None,
    }


def of_log(maps: Iterable[LogMap], name: str) -> tuple[Column, ...]:
    """The memory maps of a console log."""
    found: list[Column] = []
    last: dict[str, tuple[int, int]] = {}
    for item in maps:
        before, count = last.get(item.title, (None, 0))
        found.append(
            Column(
                title=item.title if count == 0 else f"{item.title}, number {count + 1}",
                where=f"{name}:{item.line}",
                blocks=_log_blocks(item),
                before=before,
                kind=item.kind,
                entries=item.entries,
                remarks=tuple(sorted(_remarks(item), key=lambda remark: remark.line)),
            )
        )
        last[item.title] = len(found) - 1, count + 1
    return tuple(found)


def _log_blocks(item: LogMap) -> tuple[Block, ...]:
    if item.kind is MapKind.EFI:
        return efi_blocks([entry.region for entry in item.entries])
    return tuple(Block(entry.region.range, entry.words, _linux_kind(entry.words)) for entry in item.top)


def _remarks(item: LogMap) -> Iterator[Remark]:
    yield from item.remarks
    for odd in item.odd:
        yield Remark(odd.line, f"mem{odd.number:02} is not listed above: {odd.why}")
    for first, second, both in contradictions(item.entries):
        yield Remark(second.line, f"mem{first.number:02} and mem{second.number:02} both have {both}")


def _regions(regions: Sequence[EfiRegion]) -> tuple[LogEntry, ...]:
    return tuple(LogEntry(number, region, 0) for number, region in enumerate(regions))


def of_record(observations: Observations, kind: MapKind | None = None) -> tuple[Column, ...]:
    """What a run's record has: firmware's map, the map that was handed over, and each kernel's two maps.

    Args:
        kind: only the maps of this kind.
    """
    found = tuple(_of_record(observations))
    if kind is None:
        return found
    places = {old: new for new, old in enumerate(at for at, item in enumerate(found) if item.kind is kind)}
    return tuple(
        replace(found[at], before=places.get(before) if (before := found[at].before) is not None else None)
        for at in places
    )


def _of_record(observations: Observations) -> list[Column]:
    found: list[Column] = []
    own = observations.record.frame("firmware-memmap")
    if own is not None:
        title = "EFI memory map of firmware"
        regions = observations.regions_of(own)
        found.append(Column(title, observations.cited(own), efi_blocks(regions), entries=_regions(regions)))
    if observations.efi_map:
        title = "EFI memory map at the hand-off"
        where = observations.cited(observations.record.frame("memmap"))
        marks = tuple(sorted(_handed_over(observations), key=lambda item: item.range))
        blocks, entries = efi_blocks(observations.efi_map), _regions(observations.efi_map)
        found.append(Column(title, where, blocks, marks, 0 if found else None, entries=entries))
    last: dict[str, int] = {}
    for epoch in observations.entered:
        for column in _epoch(observations, epoch):
            name = column.title.partition(",")[0]
            found.append(replace(column, before=last.get(name)))
            last[name] = len(found) - 1
    return found


def efi_blocks(regions: Sequence[EfiRegion]) -> tuple[Block, ...]:
    """Neighbours that say the same are one block."""
    joined: list[tuple[Block, set[str], int]] = []
    for region in sorted(regions, key=lambda item: item.range):
        kind = _EFI_KINDS[region.type] if region.type < len(_EFI_KINDS) else Kind.OTHER
        name = short_name(region)
        block, names, count = joined[-1] if joined else (Block(Range(0, 0), "", kind), set[str](), 0)
        if joined and block.range.end == region.range.start and (names == {name} or (_joins(block, kind))):
            joined[-1] = (replace(block, range=Range(block.range.start, region.range.end)), names | {name}, count + 1)
        else:
            joined.append((Block(region.range, name, kind), {name}, 1))
    return tuple(
        replace(block, label=f"{block.kind}, {count} pieces" if len(names) > 1 else block.label)
        for block, names, count in joined
    )


def short_name(region: EfiRegion) -> str:
    """The type's name as it is shown, such as ``BootServicesData`` or ``Conventional``."""
    return region.type_name.removesuffix("Memory").removesuffix("MemoryType")


def _joins(block: Block, kind: Kind) -> bool:
    return block.kind is kind and kind in _JOINED


def _handed_over(observations: Observations) -> Iterator[Block]:
    record = observations.record
    image = record.frame("image")
    if image is not None:
        yield Block(_sized(image, "address", "size"), "kernel image", Kind.KERNEL)
    initrd = record.frame("initrd")
    if initrd is not None:
        yield Block(_sized(initrd, "address", "size"), "initrd", Kind.INITRD)
    for frame in record.frames("table"):
        said = InstalledTable.read(frame.fields)
        yield Block(said.table, f"{said.name} table", Kind.TABLE)
    for base in observations.baselines.values():
        if base.plan is None:
            yield Block(base.table, base.title, Kind.TABLE)
    for made in observations.made_ranges:
        if made.canary:
            yield Block(made.range, f"canaries in {made.type_name}", Kind.CANARY)


def _sized(frame: FrameEntry, start: str, size: str) -> Range:
    return Range.sized(int(frame.fields[start], 0), int(frame.fields[size], 0))


def _epoch(observations: Observations, epoch: int) -> Iterator[Column]:
    listed = e820.parse_memmap(observations.record.text(epoch, "memmap") or "absent")
    if listed is not None and not isinstance(listed, Defect):
        blocks = tuple(Block(item.range, item.type_name, _linux_kind(item.type_name)) for item in listed)
        where = observations.where(epoch, "memmap")
        yield Column(f"/sys/firmware/memmap, epoch {epoch}", where, blocks, kind=MapKind.E820)
    rows = observations.iomem(epoch)
    if not rows:
        return
    known = [region.range for region in observations.efi_map]
    blocks = tuple(
        Block(row.range, row.name, _linux_kind(row.name))
        for row in rows
        if row.depth == 0 and any(row.range.overlaps(item) for item in known)
    )
    marks = sorted(_inside(observations, epoch, rows), key=lambda item: item.range)
    where = observations.where(epoch, "iomem")
    yield Column(f"/proc/iomem, epoch {epoch}", where, blocks, tuple(marks), kind=MapKind.IOMEM)


def _inside(observations: Observations, epoch: int, rows: Sequence[Resource]) -> Iterator[Block]:
    """The kernel, its initrd, its crash kernel, and what it has loaded for the next epoch."""
    own = observations.kernel_extent(epoch)
    if own is not None:
        yield Block(own, "kernel", Kind.KERNEL)
    for row in rows:
        if row.name == CRASH_KERNEL:
            yield Block(row.range, "crash kernel", Kind.CRASH)
    for line in observations.epoch_lines(epoch):
        match = _RAMDISK.search(line.text)
        if match is not None:
            yield Block(Range.inclusive(int(match["start"], 16), int(match["last"], 16)), "initrd", Kind.INITRD)
            break
    for load in observations.loads:
        if load.epoch == epoch:
            for segment in load.segments:
                yield Block(segment.range, f"next {segment.role}", Kind.NEXT)


def _linux_kind(name: str) -> Kind:
    return _LINUX_KINDS.get(name, Kind.DEVICE if name.startswith(("PCI", "IOAPIC", "HPET")) else Kind.OTHER)
