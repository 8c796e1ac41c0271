"""What lay where firmware had left a table, border by border; and whether that was lost at all."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.causes import Cause
from harness.model.record import Point, SampleEntry
from harness.model.verdict import Check, Evidence
from harness.model.words.tables import TableName
from harness.record.observations import Baseline, Observations
from harness.subjects.common import failed, judged, passed
from harness.subjects.tables.absent import check_absent
from harness.subjects.xen.view import XenView

_WHEN = {
    Point.XEN: "when Xen began",
    Point.DOM0: "just before dom0 began",
    Point.UP: "when dom0 was up",
    Point.END: "when the run ended",
}


def when(sample: SampleEntry) -> str:
    """The border, in words."""
    return _WHEN.get(sample.point, str(sample.point))


def content(view: XenView, sample: SampleEntry, baseline: Baseline) -> bytes:
    """The table's bytes in a sample of its pages or of its copy."""
    data = view.observations.record.sampled(sample)
    return data[sample.table_address - sample.pages_address :][: baseline.table.size_bytes]


def history(view: XenView, baseline: Baseline) -> Iterator[Evidence]:
    """What lay at the old place."""
    for sample in view.observations.samples(baseline.name):
        now = content(view, sample, baseline)
        what = "what firmware wrote" if now == baseline.content else f"other bytes: {now[:16].hex(' ')}"
        yield Evidence(text=f"{when(sample)}, at its old place: {what}", where=sample.file)


def check_xen_reused(observations: Observations, name: TableName) -> Check:
    """Other bytes lie where firmware had left the table; else nothing was at stake."""
    title = f"xen_reused: {name}"
    view = XenView(observations)
    baseline = observations.baselines.get(name)
    if baseline is None:
        return check_absent(observations, name, title)
    samples = observations.samples(name)
    if not samples:
        summary, cause = "the table's memory was not sampled after the hand-off", Cause.MISSING_REPORT
        return judged(title, cause, summary, hint="See the check of the end.")
    lost = next((sample for sample in samples if content(view, sample, baseline) != baseline.content), None)
    evidence = tuple(history(view, baseline))
    place = f"{baseline.table.start:#x}, {view.types(baseline.table)} in Xen's EFI memory map"
    if lost is not None:
        text = f"the memory in which firmware had left the {baseline.title} was used again, seen {when(lost)} ({place})"
        return passed(title, text, evidence=evidence)
    return failed(
        title,
        Cause.NOT_REUSED,
        f"the {baseline.title} still lies where firmware left it ({place}): nothing is proved about its loss",
        evidence=evidence,
        hint="Give the machine less memory, or put the table elsewhere: Xen scrubs what is free and builds dom0 there.",
    )
