"""What the record says, decoded once for all checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from harness.evidence import klog
from harness.evidence.defect import Defect
from harness.evidence.maps import e820, efimap, iomem, memmap, segments
from harness.evidence.maps.segments import Segment, Sizes
from harness.evidence.ranges import Range
from harness.evidence.tables import kinds as tables
from harness.evidence.tables.configtable import ConfigTables, parse_listing
from harness.model.plan import EpochPlan, Plan, TablePlan
from harness.model.record import FrameEntry, Point, SampleEntry
from harness.model.words.kexec import Syscall
from harness.model.words.tables import TableName
from harness.record.frames import pages_of
from harness.record.record import Record, UnreadableRecordError


@dataclass(frozen=True)
class Baseline:
    """A table as firmware handed it over: the bytes every later sample is held against."""

    name: TableName
    pages: Range
    """All that was sampled."""
    table: Range
    data: bytes
    """The bytes of ``pages``."""
    plan: TablePlan | None
    """Set when the EFI agent installed the table; only then are there canaries."""
    sample: SampleEntry

    @property
    def title(self) -> str:
        """What lies at ``table``, for people."""
        return tables.title(self.name)

    @property
    def content(self) -> bytes:
        """The table's own bytes."""
        return self.data[self.table.start - self.pages.start :][: self.table.size_bytes]


@dataclass(frozen=True)
class Load:
    """One kexec: what epoch ``epoch`` loaded for the epoch after it."""

    epoch: int
    syscall: Syscall
    target: EpochPlan
    frame: FrameEntry
    segments: tuple[Segment, ...]
    """Empty when neither tool nor kernel showed them."""
    shown_in: str
    """The file of the record that shows the segments."""


@dataclass(frozen=True)
class MadeRange:
    """A piece of memory that the EFI agent has given a type."""

    PREFIX: ClassVar[str] = "memory-"
    range: Range
    type: int | None
    """EFI_MEMORY_TYPE; None for a hole."""
    was: int
    """What firmware's own map has there."""
    how: str
    """``allocated``, or ``hooked``: it is so in the hooked GetMemoryMap only."""
    canary: bool
    fit: bool
    """One piece of what could be had; else it is exactly as the plan has it."""

    @classmethod
    def of(cls, frame: FrameEntry) -> MadeRange:
        """Out of a ``range`` frame (docs/link-protocol.md)."""
        return cls.read(frame.fields)

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> MadeRange:
        """Out of the fields of a ``range`` frame."""
        return cls(
            range=pages_of(fields),
            type=None if fields["type"] == "hole" else int(fields["type"], 0),
            was=int(fields["was"], 0),
            how=fields["how"],
            canary=fields["canary"] == "1",
            fit=fields["fit"] == "1",
        )

    @property
    def subject(self) -> str:
        """What its samples are called."""
        return f"{self.PREFIX}{self.range.start:#x}"

    @property
    def type_name(self) -> str:
        """The spec's name without ``Efi``, or ``hole``."""
        return "hole" if self.type is None else efimap.EfiRegion(self.type, self.range, 0).type_name


@dataclass(frozen=True)
class Observations:
    """Decoded views of one record. Nothing here judges."""

    record: Record

    @property
    def plan(self) -> Plan:
        return self.record.plan

    @cached_property
    def lines(self) -> tuple[klog.Line, ...]:
        return klog.lines(self.record.console)

    @cached_property
    def entered(self) -> tuple[int, ...]:
        """The epochs of kernels that were entered, in order; empty when no kernel was started."""
        return tuple(sorted({entry.epoch for entry in self.record.phases if entry.epoch > 0}))

    def begin_offset(self, epoch: int) -> int:
        """Where in console.log an epoch begins; the end of the log for one that was never entered."""
        offsets = [entry.console_offset for entry in self.record.phases if entry.epoch == epoch]
        return min(offsets, default=len(self.record.console))

    def epoch_lines(self, epoch: int) -> tuple[klog.Line, ...]:
        """The console lines of one epoch."""
        begin, end = self.begin_offset(epoch), self.begin_offset(epoch + 1)
        return tuple(line for line in self.lines if begin <= line.offset < end)

    def spoke(self, epoch: int) -> bool:
        """Did an epoch print anything on the console?"""
        return any(line.text for line in self.epoch_lines(epoch))

    def epoch_of(self, line: klog.Line) -> int:
        """The epoch a console line belongs to."""
        return max((entry.epoch for entry in self.record.phases if entry.console_offset <= line.offset), default=0)

    @cached_property
    def config_tables(self) -> ConfigTables | None:
        """As the EFI agent read them from the system table; None without its report.

        Raises:
            UnreadableRecordError: the report is no list of tables.
        """
        frame = self.record.frame("systab")
        if frame is None:
            return None
        found = parse_listing(self.record.body(frame).decode("ascii", "replace"))
        if isinstance(found, Defect):
            raise UnreadableRecordError(f"{self.cited(frame)}: {found}")
        return found

    @cached_property
    def baselines(self) -> dict[TableName, Baseline]:
        """The watched tables that exist, as they were at the hand-off; those of the EFI stub when the first kernel was
        up."""
        found: dict[TableName, Baseline] = {}
        for sample in self.record.samples:
            name = TableName(sample.subject) if sample.subject in set(TableName) else None
            if name is None or name in found:
                continue
            if sample.point is Point.HANDOFF or tables.KINDS[name].late is not None:
                found[name] = Baseline(
                    name=name,
                    pages=Range.sized(sample.pages_address, sample.pages_size_bytes),
                    table=Range.sized(sample.table_address, sample.table_size_bytes),
                    data=self.record.sampled(sample),
                    plan=next((table for table in self.plan.tables if table.name is name), None),
                    sample=sample,
                )
        return found

    def unwatched(self, name: TableName) -> str:
        """Why a table was not sampled at the hand-off; empty when the record does not say."""
        return next((note.text for note in self.record.notes if note.table is name), "")

    def samples(self, name: TableName) -> tuple[SampleEntry, ...]:
        """All samples of a table after its baseline, in order of time."""
        first = self.baselines[name].sample if name in self.baselines else None
        return tuple(
            sample
            for sample in self.record.samples
            if sample.subject == name.value and sample.point is not Point.HANDOFF and sample != first
        )

    @cached_property
    def loads(self) -> tuple[Load, ...]:
        """The kexecs that were loaded with success, in order."""
        found = []
        for target in self.plan.epochs[1:]:
            epoch = target.number - 1
            frame = self.record.frame("loaded", epoch, rc="0")
            if frame is None or target.syscall is None:
                continue
            sizes = Sizes(initrd_bytes=target.initrd_size_bytes, init_size_bytes=target.kernel.init_size_bytes)
            tool_output = self.record.body(frame).decode("utf-8", "backslashreplace")
            shown = frame
            if target.syscall is Syscall.LOAD:
                places = segments.parse_tool(tool_output, sizes)
            else:
                places = segments.parse_kernel(self.record.text(epoch, "kexec-klog") or "", sizes)
                shown = self.record.frame("fact", epoch, name="kexec-klog") or frame
            where = shown.body_file or "journal.jsonl"
            found.append(Load(epoch, target.syscall, target, frame, places, where))
        return tuple(found)

    @cached_property
    def efi_map(self) -> tuple[efimap.EfiRegion, ...]:
        """The firmware's memory map just before the hand-off; empty when it was not reported or cannot be read."""
        frame = self.record.frame("memmap")
        return () if frame is None else self.regions_of(frame)

    def regions_of(self, frame: FrameEntry) -> tuple[efimap.EfiRegion, ...]:
        """The memory map in an EFI agent's frame; empty when it cannot be read."""
        regions = efimap.parse_descriptors(self.record.body(frame), int(frame.fields.get("descriptor_size", "0"), 0))
        return () if isinstance(regions, Defect) else regions

    @cached_property
    def made_ranges(self) -> tuple[MadeRange, ...]:
        """The ranges that the EFI agent says it has made, in its order."""
        return tuple(MadeRange.of(frame) for frame in self.record.frames("range", 0))

    def range_samples(self, made: MadeRange) -> tuple[SampleEntry, ...]:
        """All samples of a range with canaries, in order of time; the first is of the hand-off."""
        return tuple(sample for sample in self.record.samples if sample.subject == made.subject)

    def kernel_extent(self, epoch: int) -> Range | None:
        """From the first to the last byte of a kernel's code, data and bss, by its /proc/iomem."""
        own = [row.range for row in self.iomem(epoch) if row.name.startswith("Kernel ")]
        return Range(min(own).start, max(item.end for item in own)) if own else None

    def where(self, epoch: int, fact: str) -> str:
        """The file of a fact, to be cited; the journal when it has none."""
        return self.cited(self.record.frame("fact", epoch, name=fact))

    def cited(self, frame: FrameEntry | None) -> str:
        """The file of a frame's body, to be cited; the journal when it has none."""
        return (frame.body_file if frame is not None else None) or "journal.jsonl"

    def iomem(self, epoch: int) -> tuple[iomem.Resource, ...]:
        """/proc/iomem of an epoch; empty when it was not reported or cannot be read."""
        resources = iomem.parse_iomem(self.record.text(epoch, "iomem") or "")
        return () if isinstance(resources, Defect) else resources

    def view(self, where: Range, epoch: int) -> memmap.ThreeWay:
        """A range through all maps, as one epoch's kernel shows them."""
        firmware = e820.parse_memmap(self.record.text(epoch, "memmap") or "absent")
        runtime = efimap.parse_runtime_map(self.record.text(epoch, "runtime-map") or "absent")
        return memmap.view(
            where,
            efi=self.efi_map,
            iomem=self.iomem(epoch),
            firmware_memmap=firmware if isinstance(firmware, tuple) else (),
            runtime_map=runtime if isinstance(runtime, tuple) else (),
        )
