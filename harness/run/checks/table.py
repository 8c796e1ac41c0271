"""``table_intact``: the table's bytes from outside, its canaries, and what the kernel shows of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.evidence import canary
from harness.evidence.attribution import attribute, placed_bytes
from harness.evidence.ranges import Range
from harness.evidence.segments import Role, Segment, overlapping
from harness.model.record import Point, SampleEntry
from harness.model.scenario import Syscall, TableName
from harness.model.verdict import Cause, Check, Evidence, Status
from harness.run.checks import inside
from harness.run.observations import Baseline, Load, Observations

_CORRUPT = {
    TableName.ESRT: Cause.ESRT_CORRUPT,
    TableName.BGRT: Cause.BGRT_CORRUPT,
    TableName.MEMATTR: Cause.MEMATTR_CORRUPT,
}


def check_table(observations: Observations, name: TableName) -> Check:
    """One table over the whole run."""
    title = f"table_intact: {name}"
    baseline = observations.baselines.get(name)
    if baseline is None:
        return _absent(observations, name, title)
    for sample in observations.samples(name):
        data = observations.record.read(sample.file)
        finding = _Finding(observations, baseline, sample, data)
        if finding.now != baseline.content:
            return _corrupt(finding, title)
        spoiled = finding.spoiled_canaries()
        if spoiled:
            return _canary_damaged(finding, spoiled, title)
    return inside.check_inside(observations, baseline, title) or _intact(observations, baseline, title)


def _absent(observations: Observations, name: TableName, title: str) -> Check:
    tables = observations.config_tables
    if tables is None:
        return Check(
            name=title,
            status=Status.ERROR,
            cause=Cause.MISSING_REPORT,
            summary="the EFI agent did not report the configuration tables",
            hint="See the check of the run's end.",
        )
    reason = next((note.text for note in observations.record.notes if note.text.startswith(f"{name}:")), "")
    return Check(
        name=title,
        status=Status.UNSUPPORTED,
        cause=Cause.NO_TABLE,
        summary=f"this firmware publishes no {name.upper()}, so there is nothing that could be damaged"
        + (f" ({reason.partition(':')[2].strip()})" if reason else ""),
        evidence=(Evidence(text=f"{len(tables)} configuration tables: {' '.join(tables)}", where="journal.jsonl"),),
        hint=_HOW_TO_HAVE[name],
    )


_HOW_TO_HAVE = {
    TableName.ESRT: "Let the scenario install one: firmware: {tables: [{esrt: {below: 0x3c000000}}]}.",
    TableName.BGRT: "OVMF publishes a BGRT when there is a graphics device: machine: {vga: true}.",
    TableName.MEMATTR: "Use a firmware that publishes the EFI Memory Attributes Table.",
}


@dataclass(frozen=True)
class _Finding:
    """One sample held against the hand-off."""

    observations: Observations
    baseline: Baseline
    sample: SampleEntry
    data: bytes

    @property
    def name(self) -> str:
        return self.baseline.name.upper()

    @property
    def now(self) -> bytes:
        """The table's own bytes in the sample."""
        return self.data[self.baseline.table.start - self.baseline.pages.start :][: self.baseline.table.size_bytes]

    @property
    def when(self) -> str:
        if self.sample.point is Point.UP:
            return f"when the kernel of epoch {self.sample.epoch} was up"
        return f"in epoch {self.sample.epoch} ({self.sample.point})"

    @property
    def load(self) -> Load | None:
        """The kexec between the last good sample and this one; None when the damage was done inside an epoch."""
        if self.sample.point is Point.LOADED:
            return None
        return next((load for load in self.observations.loads if load.epoch == self.sample.epoch - 1), None)

    @property
    def covering(self) -> tuple[Segment, ...]:
        """The segments of that kexec which cover the table."""
        return overlapping(self.load.segments, self.baseline.table) if self.load else ()

    def spoiled_canaries(self) -> tuple[Range, ...]:
        if self.baseline.plan is None:
            return ()
        return canary.damaged(self.data, self.baseline.pages.start, self.baseline.plan.canary_seed, self.baseline.table)


def _corrupt(finding: _Finding, title: str) -> Check:
    baseline, sample, covering = finding.baseline, finding.sample, finding.covering
    culprit = f": {covering[0]} of {_call(finding.load)} covers it" if finding.load and covering else ""
    return Check(
        name=title,
        status=Status.FAIL,
        cause=_CORRUPT[baseline.name],
        summary=f"the {finding.name} at {baseline.table.start:#x} was overwritten, seen {finding.when}{culprit}",
        epoch=sample.epoch,
        evidence=(
            _change(finding),
            *_culprit(finding),
            *inside.kernel_words(finding.observations, baseline.name, sample.epoch),
            *_maps(finding.observations, baseline, sample.epoch - 1),
        ),
        hint=_hint(finding.load),
    )


def _call(load: Load) -> str:
    return "kexec_load" if load.syscall is Syscall.LOAD else "kexec_file_load"


def _change(finding: _Finding) -> Evidence:
    before, now = finding.baseline.content, finding.now
    changed = [index for index, (a, b) in enumerate(zip(before, now, strict=True)) if a != b]
    first = changed[0]
    return Evidence(
        text=f"{len(changed)} of {len(before)} bytes differ; the first at {finding.baseline.table.start + first:#x}: "
        f"{before[first : first + 16].hex(' ')} became {now[first : first + 16].hex(' ')}",
        where=f"{finding.sample.file} against {finding.baseline.sample.file}",
    )


def _culprit(finding: _Finding) -> Iterator[Evidence]:
    load, table = finding.load, finding.baseline.table
    if load is None:
        yield Evidence(text="no kexec lies between this and the sample before: it happened while a kernel was running")
        return
    where = load.frame.body_file or "journal.jsonl"
    if not finding.covering:
        shown = f"none of its {len(load.segments)} segments covers it" if load.segments else "its segments are unknown"
        yield Evidence(text=f"{_call(load)} in epoch {load.epoch}: {shown}", where=where)
    for segment in finding.covering:
        yield Evidence(
            text=f"predicted before the jump: {_call(load)} in epoch {load.epoch} put {segment} "
            f"({segment.buffer_bytes:#x} bytes, then zeros) over {table}",
            where=where,
        )
        yield from _attributed(finding, load, segment)


def _attributed(finding: _Finding, load: Load, segment: Segment) -> Iterator[Evidence]:
    """Confirmed after the jump: the bytes now there are the segment's own."""
    initrd = str(load.target.initrd)

    def read_initrd(offset: int, size_bytes: int) -> bytes:
        return finding.observations.record.read_payload(initrd, offset, size_bytes) or b""

    table = finding.baseline.table
    found = attribute(finding.now, table, segment, read_initrd)
    printed = inside.printed_version(finding.observations, finding.baseline, finding.sample.epoch)
    placed = placed_bytes(Range.sized(table.start + 8, 8), segment, read_initrd)
    if printed is not None and placed == printed.value.to_bytes(8, "little", signed=True):
        yield Evidence(
            text=f"confirmed after the jump: the ESRT version that the kernel read, {printed.value}, is the 8 bytes "
            f"that {segment} put at {table.start + 8:#x}, offset {table.start + 8 - segment.range.start:#x} of the "
            "initrd",
            where=f"console.log:{printed.line_number}",
        )
    elif found is not None:
        yield Evidence(text=f"confirmed after the jump: {found.text}", where=f"{table}")
    elif segment.role is Role.INITRD:
        yield Evidence(
            text="not attributed: the bytes now there are not those of the initrd (the next kernel may have used the "
            "page since)",
            where=f"{table}",
        )


def _maps(observations: Observations, baseline: Baseline, epoch: int) -> Iterator[Evidence]:
    if epoch >= 1:
        yield Evidence(text=f"in epoch {epoch}: {observations.view(baseline.pages, epoch)}", where=f"{baseline.pages}")


def _hint(load: Load | None) -> str:
    if load is not None and load.syscall is Syscall.LOAD:
        return (
            "kexec_load takes its places from /sys/firmware/memmap, which does not know what efi_mem_reserve() "
            "keeps; compare with kexec_file_load (kexec -s), or boot with add_efi_memmap."
        )
    return "Compare with another kernel; `harness show` lists every sample of this run."


def _canary_damaged(finding: _Finding, spoiled: tuple[Range, ...], title: str) -> Check:
    return Check(
        name=title,
        status=Status.FAIL,
        cause=Cause.CANARY_DAMAGED,
        summary=f"the {finding.name} itself is intact, but the rest of its pages was written to, seen {finding.when}: "
        f"{spoiled[0]}",
        epoch=finding.sample.epoch,
        evidence=(
            *(Evidence(text=f"canary damaged at {item}", where=finding.sample.file) for item in spoiled[:4]),
            *_culprit(finding),
            *_maps(finding.observations, finding.baseline, finding.sample.epoch),
        ),
        hint="Something wrote into pages that efi_mem_reserve() keeps whole.",
    )


def _intact(observations: Observations, baseline: Baseline, title: str) -> Check:
    samples = observations.samples(baseline.name)
    epochs = {sample.epoch for sample in samples if sample.point is Point.UP}
    planned = {epoch.number for epoch in observations.plan.epochs}
    if not planned <= epochs:
        missing = ", ".join(str(number) for number in sorted(planned - epochs))
        return Check(
            name=title,
            status=Status.ERROR,
            cause=Cause.MISSING_REPORT,
            summary=f"intact as far as it was sampled, but not sampled in epoch {missing}",
            hint="See the check of the run's end.",
        )
    return Check(
        name=title,
        status=Status.PASS,
        summary=f"{baseline.table.size_bytes} bytes at {baseline.table.start:#x} are the same at {len(samples) + 1} "
        f"borders of {len(planned)} epochs",
        evidence=(
            Evidence(text=f"SHA-256 {baseline.sample.sha256} of {baseline.pages}", where=baseline.sample.file),
            *inside.agreement(observations, baseline),
            *_maps(observations, baseline, max(planned)),
        ),
    )
