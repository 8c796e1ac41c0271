"""The BGRT on the way to dom0: its image lies in boot services memory, its ACPI table where Xen leaves it alone."""

from __future__ import annotations

from collections.abc import Iterator

from harness.evidence import klog
from harness.evidence.tables import bgrt
from harness.model.causes import Cause
from harness.model.verdict import Check, Evidence
from harness.model.words.xen import XenOutcome
from harness.record.observations import Baseline
from harness.subjects.common import judged
from harness.subjects.tables import inside
from harness.subjects.xen.history import content, history
from harness.subjects.xen.view import BGRT_TABLE, XenView

_POINTER_BYTES = 8


def check_xen_bgrt(view: XenView, baseline: Baseline, outcome: XenOutcome, title: str) -> Check:
    """``invalidated`` or ``kept``; dom0 may never take an image out of memory that Xen does not keep."""
    record = view.observations.record
    sample = view.last(BGRT_TABLE)
    shown = record.text(1, "bgrt")
    if sample is None or shown is None or not view.efi_map:
        what = "the ACPI table BGRT" if sample is None else "Xen's EFI memory map" if shown else "dom0's report"
        return _check(title, Cause.MISSING_REPORT, f"{what} is not in the record", ())
    pointer = int.from_bytes(record.sampled(sample)[bgrt.POINTER_OFFSET :][:_POINTER_BYTES], "little")
    evidence = (
        Evidence(text=f"the ACPI table BGRT now says that the image is at {pointer:#x}", where=sample.file),
        Evidence(text=f"the image was in {view.types(baseline.table)} at {baseline.table.start:#x}"),
        *history(view, baseline),
        *_words(view),
    )
    absent = shown.strip() == "absent"
    if pointer and not view.kept(baseline.table) and not absent:
        text = f"dom0 shows a BGRT image from {pointer:#x}, {view.types(baseline.table)}, which Xen does not keep"
        return _check(title, Cause.XEN_TABLE_UNPROTECTED, text, evidence)
    if outcome is XenOutcome.INVALIDATED:
        return _invalidated(title, pointer, absent, evidence)
    if outcome is XenOutcome.KEPT:
        return _kept(view, baseline, title, pointer, evidence)
    text = f"a BGRT is never {outcome}: its image is invalidated or kept"
    return _check(title, Cause.SETUP_NOT_PROVED, text, evidence)


def _invalidated(title: str, pointer: int, absent: bool, evidence: tuple[Evidence, ...]) -> Check:
    if pointer:
        text = f"Xen left the BGRT pointing to {pointer:#x}, into memory that it does not keep"
        return _check(title, Cause.XEN_TABLE_LOST, text, evidence)
    if not absent:
        text = "the BGRT has no image any more, but dom0 shows one"
        return _check(title, Cause.TABLE_REFUSED, text, evidence)
    return _check(title, None, "Xen took the image out of the BGRT, and dom0 shows none", evidence)


def _kept(view: XenView, baseline: Baseline, title: str, pointer: int, evidence: tuple[Evidence, ...]) -> Check:
    samples = view.observations.samples(baseline.name)
    same = all(content(view, sample, baseline) == baseline.content for sample in samples)
    if pointer != baseline.table.start or not view.kept(baseline.table) or not same:
        text = f"the BGRT points to {pointer:#x}, its image was at {baseline.table.start:#x}: Xen did not keep it"
        return _check(title, Cause.XEN_TABLE_LOST, text, evidence)
    wrong = inside.check_inside(view.observations, baseline, title)
    if wrong is not None:
        return wrong.model_copy(update={"evidence": (*wrong.evidence, *evidence)})
    text = f"the BGRT image stayed at {pointer:#x}, untouched, and dom0 shows it"
    return _check(title, None, text, evidence)


def _words(view: XenView) -> Iterator[Evidence]:
    """What Xen and dom0 print about it."""
    said = [message.line for message in klog.table_messages(view.lines) if message.subject == "bgrt"]
    xen = [line for line in view.lines if "BGRT: invalidating" in line.text]
    for line in (*xen, *said):
        yield Evidence(text=f"on the console: {line.text.strip()[:200]}", where=f"console.log:{line.number}")


def _check(title: str, cause: Cause | None, summary: str, evidence: tuple[Evidence, ...]) -> Check:
    epoch = None if cause is None else 1
    return judged(title, cause, summary, epoch=epoch, evidence=evidence)
