"""What a record tells of a crash and its dump, decoded once for all checks of it. Pure."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from functools import cached_property

from harness.evidence import crash, klog, printk
from harness.evidence.code import elfnotes, kallsyms
from harness.evidence.code.symbols import SymbolTable
from harness.evidence.crash import Crash, Severity
from harness.evidence.defect import Defect
from harness.evidence.groundtruth import Digests, Pair, digests_of, pairs
from harness.evidence.maps import iomem
from harness.evidence.ranges import Range
from harness.evidence.tables.kinds import INITRD_BYTES, KINDS
from harness.evidence.tables.shown import DROPPED
from harness.evidence.vmcore import Dump, FileDefect, open_dump
from harness.model.plan import EpochPlan
from harness.model.record import SYMBOLS_FILE, EndKind, MemoryEntry, Point, VmcoreEntry
from harness.model.words.kdump import (
    TRIGGERS,
    CaptureOptions,
    CaptureStep,
    CrashOptions,
    CrashStep,
    KdumpClean,
    Trigger,
    task_name,
)
from harness.model.words.tables import TableName
from harness.record.observations import Observations
from harness.record.record import UnreadableRecordError

_NONCE = re.compile(r"\bharness\.nonce=([0-9a-f]{8})\b")
_MAX_SYMBOLS_BYTES = 64 << 20


@dataclass(frozen=True)
class KdumpView:
    """One crash of one run. Raises UnreadableRecordError where a file of the record is not what it was."""

    observations: Observations

    @cached_property
    def crashed(self) -> EpochPlan:
        """The epoch whose kernel is crashed."""
        return self.observations.plan.epochs[self._injected[0] - 1]

    @cached_property
    def capture(self) -> EpochPlan:
        """The epoch of the capture kernel."""
        return self.observations.plan.epochs[self.crashed.number]

    @cached_property
    def _injected(self) -> tuple[int, CrashStep]:
        return next(self.observations.plan.steps(CrashStep))

    @property
    def crash(self) -> CrashOptions:
        return self._injected[1].crash

    @cached_property
    def options(self) -> CaptureOptions:
        return next(step.capture for _, step in self.observations.plan.steps(CaptureStep))

    @property
    def trigger(self) -> Trigger:
        return TRIGGERS[self.crash.by]

    @property
    def task(self) -> str:
        """The name of the task that was to crash."""
        return task_name(self.observations.plan.nonce)

    @property
    def crashed_pid(self) -> int | None:
        """The process that crashed the kernel: the guest agent, or the worker that the dump's log names."""
        if not self.trigger.worker:
            return 1
        named = re.compile(rf"PID: (\d+) Comm: {self.trigger.worker}")
        return next((int(match[1]) for line in self.log if (match := named.search(line.text))), None)

    @property
    def complete(self) -> bool:
        """Was every step done?"""
        end = self.observations.record.end
        return end is not None and end.kind is EndKind.COMPLETE

    # The crashed kernel, as it was seen alive

    @cached_property
    def rows(self) -> tuple[iomem.Resource, ...]:
        """/proc/iomem of the kernel that is crashed."""
        return self.observations.iomem(self.crashed.number)

    @cached_property
    def regions(self) -> tuple[Range, ...]:
        """What it reserved for the capture kernel."""
        return tuple(sorted(item.range for item in self.rows if item.name == iomem.CRASH_KERNEL))

    @cached_property
    def live_build_id(self) -> str | None:
        """From /sys/kernel/notes of the kernel that is crashed."""
        return elfnotes.build_id(self.observations.record.fact(self.crashed.number, "kernel-notes") or b"")

    @cached_property
    def symbols(self) -> SymbolTable | None:
        """None when there were none to keep."""
        end = self.observations.record.end
        if end is None or SYMBOLS_FILE not in end.files:
            return None
        try:
            text = zlib.decompressobj(31).decompress(self.observations.record.read(SYMBOLS_FILE), _MAX_SYMBOLS_BYTES)
        except zlib.error as error:
            raise UnreadableRecordError(f"{SYMBOLS_FILE}: {error}") from error
        table = kallsyms.parse(text.decode("latin-1"))
        return None if isinstance(table, Defect) else table

    @property
    def strict(self) -> bool:
        """Is nothing at all forgiven that a capture kernel writes outside of its region?"""
        expected = self.observations.plan.scenario.expect
        return any(isinstance(item, KdumpClean) and item.kdump_clean == "strict" for item in expected)

    @cached_property
    def wiped(self) -> Range | None:
        """Where the capture kernel's configuration tables have INITRD, a table of two words that is long gone."""
        lines = klog.lines(self.observations.record.fact(self.capture.number, "klog") or b"")
        tables = klog.config_tables(lines)
        address = tables[0].get(KINDS[TableName.INITRD].kernel_name, DROPPED) if tables else DROPPED
        return None if address == DROPPED else Range.sized(address, INITRD_BYTES)

    # Memory, from outside

    def memory(self, point: Point) -> MemoryEntry | None:
        """The sample of all memory at this point."""
        found = (item for item in self.observations.record.entries if isinstance(item, MemoryEntry))
        return next((item for item in found if item.point is point), None)

    def digests(self, entry: MemoryEntry) -> Digests:
        """The digests of a sample's pages."""
        ranges = [Range(start, end) for start, end in entry.ranges]
        found = digests_of(ranges, self.observations.record.read(entry.digests_file))
        if isinstance(found, Defect):
            raise UnreadableRecordError(f"{entry.digests_file}: {found.text}")
        return found

    def changed(self, entry: MemoryEntry) -> tuple[Pair, ...]:
        """The pages that changed between the panic and the capture kernel."""
        return tuple(pairs(self.observations.record.read(entry.pages_file))) if entry.pages_file else ()

    # The dump

    @cached_property
    def vmcore(self) -> VmcoreEntry | None:
        """The file that the disk became."""
        found = [item for item in self.observations.record.entries if isinstance(item, VmcoreEntry)]
        return found[-1] if found else None

    @cached_property
    def dump(self) -> Dump | FileDefect | None:
        """None when there is no file."""
        file = self.observations.record.big(self.vmcore.file) if self.vmcore is not None else None
        return None if file is None else open_dump(file.source, file.size_bytes)

    @cached_property
    def log(self) -> tuple[klog.Line, ...]:
        """The crashed kernel's log, as the dump has it; empty when it cannot be read."""
        records = self.dump.dmesg() if isinstance(self.dump, Dump) else ()
        return () if isinstance(records, Defect) else klog.lines(printk.text_of(records).encode())

    @cached_property
    def why_no_log(self) -> str:
        """Empty when there is one."""
        records = self.dump.dmesg() if isinstance(self.dump, Dump) else Defect("there is no dump")
        return records.text if isinstance(records, Defect) else ""

    @cached_property
    def crashes(self) -> tuple[Crash, ...]:
        """What the dump's log reports, but for mere warnings."""
        return tuple(item for item in crash.find(self.log) if item.severity is not Severity.WARNING)

    @cached_property
    def log_nonces(self) -> tuple[str, ...]:
        """Of the runs that the dump's log speaks of, by the kernel's command line."""
        return tuple(dict.fromkeys(match[1] for line in self.log for match in _NONCE.finditer(line.text)))
