"""``table_intact``: the table's bytes from outside, its canaries, and what the kernel shows of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.evidence.code.attribution import attribute, placed_bytes
from harness.evidence.maps import efimap
from harness.evidence.maps.segments import Role, Segment, overlapping
from harness.evidence.ranges import Range
from harness.evidence.tables import canary
from harness.evidence.tables.kinds import KINDS, corrupt
from harness.model.causes import Cause
from harness.model.record import EndKind, Point, SampleEntry
from harness.model.verdict import Check, Evidence
from harness.model.words.kexec import Syscall
from harness.model.words.tables import TableName
from harness.record.observations import Baseline, Load, Observations
from harness.record.record import Record, UnreadableRecordError
from harness.subjects.borders import unsampled
from harness.subjects.common import failed, judged, missing, passed
from harness.subjects.tables import inside
from harness.subjects.tables.absent import check_absent

_BOOT_SERVICES = {3, 4}
"""EfiBootServicesCode and EfiBootServicesData."""

# free_init_pages() (arch/x86/mm/init.c) fills with it what it gives back; include/linux/poison.h.
_POISON_FREE_INITMEM = 0xCC


def check_table(observations: Observations, name: TableName) -> Check:
    """One table over the whole run."""
    title = f"table_intact: {name}"
    baseline = observations.baselines.get(name)
    if baseline is None:
        return check_absent(observations, name, title)
    for sample in _judged(observations, name):
        if (sample.pages_address, sample.pages_size_bytes) != (baseline.pages.start, baseline.pages.size_bytes):
            raise UnreadableRecordError(f"{sample.file}: not a sample of {baseline.pages}")
        finding = _Finding(observations, baseline, sample, observations.record.sampled(sample))
        if finding.now != baseline.content:
            return _corrupt(finding, title)
        spoiled = finding.spoiled_canaries()
        if spoiled:
            return _canary_damaged(finding, spoiled, title)
    return inside.check_inside(observations, baseline, title) or _intact(observations, baseline, title)


def _judged(observations: Observations, name: TableName) -> tuple[SampleEntry, ...]:
    """The samples that say something about the kernels: firmware that runs again uses the memory as it likes."""
    end = observations.record.end
    again = end is not None and end.kind is EndKind.BACK_IN_FIRMWARE
    return tuple(sample for sample in observations.samples(name) if not (again and sample.point is Point.END))


@dataclass(frozen=True)
class _Finding:
    """One sample held against the hand-off."""

    observations: Observations
    baseline: Baseline
    sample: SampleEntry
    data: bytes

    @property
    def name(self) -> str:
        return self.baseline.title

    @property
    def now(self) -> bytes:
        """The table's own bytes in the sample."""
        return self.data[self.baseline.table.start - self.baseline.pages.start :][: self.baseline.table.size_bytes]

    @property
    def when(self) -> str:
        epoch = self.sample.epoch
        return {
            Point.UP: f"when the kernel of epoch {epoch} was up",
            Point.LOADED: f"in epoch {epoch} after the next kernel had been loaded",
        }.get(self.sample.point, f"in epoch {epoch} when the run ended")

    @property
    def in_boot_services(self) -> bool:
        """Did firmware keep the table in boot services memory (or is that unknown)?"""
        types = {region.type for region in efimap.at(self.observations.efi_map, self.baseline.table)}
        return types <= _BOOT_SERVICES

    @property
    def load(self) -> Load | None:
        """The kexec between the last good sample and this one; None when the damage was done inside an epoch."""
        samples = self.observations.samples(self.baseline.name)
        before = samples[samples.index(self.sample) - 1] if self.sample != samples[0] else self.baseline.sample
        if before.epoch == self.sample.epoch:
            return None
        return next((load for load in self.observations.loads if load.epoch == self.sample.epoch - 1), None)

    def covering(self, where: Range) -> tuple[Segment, ...]:
        """The segments of that kexec which cover a range."""
        return overlapping(self.load.segments, where) if self.load else ()

    def spoiled_canaries(self) -> tuple[Range, ...]:
        if self.baseline.plan is None:
            return ()
        return canary.damaged(self.data, self.baseline.pages.start, self.baseline.plan.canary_seed, self.baseline.table)


class _Payload:
    """Reads an initrd that was given to the guest; knows afterwards whether it was still there."""

    def __init__(self, record: Record, path: str) -> None:
        self._record = record
        self._path = path
        self.lacking = False

    def read(self, offset: int, size_bytes: int) -> bytes:
        piece = self._record.read_payload(self._path, offset, size_bytes)
        self.lacking = self.lacking or piece is None
        return piece or b""


def _corrupt(finding: _Finding, title: str) -> Check:
    baseline, sample = finding.baseline, finding.sample
    covering = finding.covering(baseline.table)
    after = tuple(inside.consequences(finding.observations, baseline, sample.epoch))
    culprit = f": {covering[0]} of {_call(finding.load)} covers it" if finding.load and covering else ""
    return judged(
        title,
        corrupt(baseline.name),
        f"the {finding.name} at {baseline.table.start:#x} was overwritten, seen {finding.when}{culprit}"
        + (f"; {after[0][0]}" if after else ""),
        epoch=sample.epoch,
        evidence=(
            _change(finding),
            *_poisoned(finding),
            *_culprit(finding, baseline.table),
            *(item for segment in covering if finding.load for item in _attributed(finding, finding.load, segment)),
            *(Evidence(text=text, where=where) for text, where in after[:4]),
            *inside.kernel_words(finding.observations, baseline.name, sample.epoch),
            *_maps(finding.observations, baseline, finding.load.epoch if finding.load else sample.epoch),
        ),
        hint=_hint(finding, covering),
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


def _poisoned(finding: _Finding) -> Iterator[Evidence]:
    if set(finding.now) == {_POISON_FREE_INITMEM}:
        yield Evidence(
            text=f"every byte is {_POISON_FREE_INITMEM:#x}, POISON_FREE_INITMEM: the kernel of epoch "
            f"{finding.sample.epoch} had its initrd or init sections there, and has freed them",
            where=finding.sample.file,
        )


def _culprit(finding: _Finding, damaged: Range) -> Iterator[Evidence]:
    """What was loaded over the damaged range by the kexec before the damage was seen."""
    load, covering = finding.load, finding.covering(damaged)
    if load is None:
        who = f"the kernel of epoch {finding.sample.epoch}" if finding.sample.epoch else "firmware"
        yield Evidence(text=f"no kexec lies between this and the sample before: it happened while {who} was running")
        return
    where = load.shown_in
    if not covering:
        shown = f"none of its {len(load.segments)} segments covers it" if load.segments else "its segments are unknown"
        yield Evidence(text=f"{_call(load)} in epoch {load.epoch}: {shown}", where=where)
    for segment in covering:
        filled = ", then zeros" if segment.buffer_bytes < segment.range.size_bytes else ""
        yield Evidence(
            text=f"predicted before the jump: {_call(load)} in epoch {load.epoch} put {segment} "
            f"({segment.buffer_bytes:#x} bytes{filled}) over {damaged}",
            where=where,
        )


def _attributed(finding: _Finding, load: Load, segment: Segment) -> Iterator[Evidence]:
    """Confirmed after the jump: the bytes now there are the segment's own."""
    table = finding.baseline.table
    payload = _Payload(finding.observations.record, str(load.target.initrd))
    found = attribute(finding.now, table, segment, payload.read)
    printed = inside.printed_version(finding.observations, finding.baseline, finding.sample.epoch)
    placed = placed_bytes(Range.sized(table.start + 8, 8), segment, payload.read)
    if printed is not None and placed == printed.value.to_bytes(8, "little", signed=True):
        yield Evidence(
            text=f"confirmed after the jump: the ESRT version that the kernel read, {printed.value}, is the 8 bytes "
            f"that {segment} put at {table.start + 8:#x}, offset {table.start + 8 - segment.range.start:#x} of the "
            "initrd",
            where=f"console.log:{printed.line_number}",
        )
    elif found is not None:
        yield Evidence(text=f"confirmed after the jump: {found.text}", where=f"{table}")
    elif payload.lacking:
        yield Evidence(text=f"not compared with the initrd, which is no longer there: {load.target.initrd}")
    elif segment.role is Role.INITRD:
        yield Evidence(
            text="not attributed: the bytes now there are not those of the initrd (the next kernel may have used the "
            "page since)",
            where=f"{table}",
        )


def _maps(observations: Observations, baseline: Baseline, epoch: int) -> Iterator[Evidence]:
    if epoch >= 1:
        yield Evidence(
            text=f"how the maps of epoch {epoch} list {observations.view(baseline.pages, epoch)}",
            where=observations.where(epoch, "iomem"),
        )


def _hint(finding: _Finding, covering: Sequence[Segment]) -> str:
    load = finding.load
    if not KINDS[finding.baseline.name].reserved and finding.in_boot_services:
        return (
            "No kernel keeps this table's pages for good when they are boot services memory: it is safe only where "
            "firmware puts it into memory of another type (memory: acpi-reclaim, runtime-services-data)."
        )
    if load is not None and covering and load.syscall is Syscall.LOAD:
        return (
            "kexec_load takes its places from /sys/firmware/memmap, which does not know what efi_mem_reserve() "
            "keeps; compare with kexec_file_load (kexec -s), or boot with add_efi_memmap."
        )
    if load is not None and covering:
        return "kexec_file_load takes its places from the iomem tree: look for the table's pages in /proc/iomem there."
    return "Compare with another kernel; `harness show` lists every sample of this run."


def _canary_damaged(finding: _Finding, spoiled: tuple[Range, ...], title: str) -> Check:
    return failed(
        title,
        Cause.CANARY_DAMAGED,
        f"the {finding.name} itself is intact, but its pages {finding.baseline.pages} were written to at "
        f"{spoiled[0]}, seen {finding.when}",
        epoch=finding.sample.epoch,
        evidence=(
            *(Evidence(text=f"canary damaged at {item}", where=finding.sample.file) for item in spoiled[:4]),
            *_culprit(finding, spoiled[0]),
            *_maps(
                finding.observations, finding.baseline, finding.load.epoch if finding.load else finding.sample.epoch
            ),
        ),
        hint="Something wrote into pages that efi_mem_reserve() keeps whole."
        if KINDS[finding.baseline.name].reserved
        else _hint(finding, ()),
    )


def _intact(observations: Observations, baseline: Baseline, title: str) -> Check:
    samples = _judged(observations, baseline.name)
    taken = {(sample.epoch, sample.point) for sample in (baseline.sample, *samples)}
    planned = [epoch.number for epoch in observations.plan.epochs if not epoch.without_initrd]
    lacking = [*unsampled(observations, taken)]
    lacking += [f"{number} (no report)" for number in planned if observations.record.frame("up", number) is None]
    if lacking:
        return missing(
            title,
            f"the {baseline.title} was intact at {len(samples) + 1} borders, but there is nothing from epoch "
            f"{', '.join(lacking)}",
            hint="See the check of the run's end.",
        )
    return passed(
        title,
        f"the {baseline.title}, {baseline.table.size_bytes} bytes at {baseline.table.start:#x}, is the same at "
        f"all {len(samples) + 1} borders of {len(planned)} epoch{'s' if len(planned) > 1 else ''}",
        evidence=(
            Evidence(text=f"SHA-256 {baseline.sample.sha256} of {baseline.pages}", where=baseline.sample.file),
            *inside.agreement(observations, baseline),
            *_maps(observations, baseline, max(planned)),
        ),
    )
