"""Memory that firmware has occupied: its canaries, read from outside at every border. No kernel may write there."""

from __future__ import annotations

from collections.abc import Iterator

from harness.evidence.maps.segments import Role, overlapping
from harness.evidence.ranges import PAGE_BYTES, Range
from harness.model.causes import Cause
from harness.model.record import EndKind, Point, SampleEntry
from harness.model.verdict import Check, Evidence
from harness.record.observations import MadeRange, Observations
from harness.record.record import UnreadableRecordError
from harness.subjects.borders import unsampled
from harness.subjects.common import failed, missing, passed

_NAME = "occupied"


def check_occupied(observations: Observations) -> Check | None:
    """None when nothing was occupied with canaries."""
    held = [made for made in observations.made_ranges if made.canary]
    if not held or not observations.entered:
        return None
    for made in held:
        samples = tuple(_judged(observations, made))
        baseline = next((item for item in observations.range_samples(made) if item.point is Point.HANDOFF), None)
        if baseline is None:
            return None  # check_memory_map says so
        before = observations.record.sampled(baseline)
        for sample in samples:
            if (sample.pages_address, sample.pages_size_bytes) != (made.range.start, made.range.size_bytes):
                raise UnreadableRecordError(f"{sample.file}: not a sample of {made.range}")
            now = observations.record.sampled(sample)
            if now != before:
                return _overwritten(observations, made, sample, _changed(made.range.start, before, now))
    return _intact(observations, held)


def _judged(observations: Observations, made: MadeRange) -> Iterator[SampleEntry]:
    """The samples after the hand-off; firmware that runs again uses the memory as it likes."""
    end = observations.record.end
    again = end is not None and end.kind is EndKind.BACK_IN_FIRMWARE
    for sample in observations.range_samples(made):
        if sample.point is not Point.HANDOFF and not (again and sample.point is Point.END):
            yield sample


def _changed(start: int, before: bytes, now: bytes) -> tuple[Range, ...]:
    """Runs of changed bytes; what differs in fewer than a page from the next is one run."""
    runs: list[Range] = []
    for offset in range(0, len(before), PAGE_BYTES):
        page = Range.sized(start + offset, PAGE_BYTES)
        if before[offset : offset + PAGE_BYTES] == now[offset : offset + PAGE_BYTES]:
            continue
        if runs and runs[-1].end == page.start:
            runs[-1] = Range(runs[-1].start, page.end)
        else:
            runs.append(page)
    return tuple(runs)


def _overwritten(observations: Observations, made: MadeRange, sample: SampleEntry, damaged: tuple[Range, ...]) -> Check:
    when = {
        Point.UP: f"when the kernel of epoch {sample.epoch} was up",
        Point.LOADED: f"in epoch {sample.epoch} after the next kernel had been loaded",
        Point.CALLED: f"in epoch {sample.epoch} after a step had called firmware",
        Point.PANIC: f"when the kernel of epoch {sample.epoch} crashed",
        Point.CAPTURE: f"when the capture kernel, epoch {sample.epoch}, began",
    }.get(sample.point, f"in epoch {sample.epoch} when the run ended")
    total = sum(item.size_bytes for item in damaged)
    return failed(
        _NAME,
        Cause.OCCUPIED_OVERWRITTEN,
        f"{made.type_name} that firmware occupies at {made.range} was written to, {total:#x} bytes from "
        f"{damaged[0].start:#x} on, seen {when}",
        epoch=sample.epoch,
        evidence=(
            *(Evidence(text=f"changed: {item}", where=sample.file) for item in damaged[:4]),
            *_suspects(observations, made, sample),
        ),
        hint="The kernel was unpacked, or has put something, where nobody gave it memory: see `harness memmap show`.",
    )


def _suspects(observations: Observations, made: MadeRange, sample: SampleEntry) -> Iterator[Evidence]:
    """What is known to lie there, or where the kernel must have come from."""
    kernel = observations.kernel_extent(sample.epoch)
    if kernel is not None:
        over = "covers it" if kernel.overlaps(made.range) else "lies elsewhere"
        yield Evidence(
            text=f"the kernel of epoch {sample.epoch} is at {kernel}, which {over}",
            where=observations.where(sample.epoch, "iomem"),
        )
    for load in observations.loads:
        if load.epoch != sample.epoch - 1:
            continue
        pref = load.target.kernel.pref_address
        for segment in load.segments:
            need = segment.range
            if segment.role == Role.KERNEL and need.start < pref:
                yield Evidence(
                    text=f"kexec in epoch {load.epoch} put the kernel at {need.start:#x}; one that is loaded below "
                    f"{pref:#x} moves itself up to there, as far as {pref + load.target.kernel.init_size_bytes:#x}",
                    where=load.shown_in,
                )
        for segment in overlapping(load.segments, made.range):
            yield Evidence(text=f"kexec in epoch {load.epoch} put {segment} over it", where=load.shown_in)


def _intact(observations: Observations, held: list[MadeRange]) -> Check:
    total = sum(made.range.size_bytes for made in held)
    taken = [{(sample.epoch, sample.point) for sample in _judged(observations, made)} for made in held]
    lacking = unsampled(observations, set.intersection(*taken))
    if lacking:
        return missing(
            _NAME,
            f"the canaries were intact where they were sampled, but there is nothing from epoch {', '.join(lacking)}",
            hint="See the check of the run's end.",
        )
    return passed(
        _NAME,
        f"what firmware occupies, {total // 1024} KiB in {len(held)} range{'s' if len(held) > 1 else ''} with "
        f"canaries, sampled from outside, is the same at all {len(taken[0]) + 1} borders",
        evidence=tuple(Evidence(text=f"{made.range}: {made.type_name}, {made.how}") for made in held),
    )
