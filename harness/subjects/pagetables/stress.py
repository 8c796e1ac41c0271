"""Did firmware's calls and the processes beside them leave each other alone?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence import logbook
from harness.evidence.defect import Defect
from harness.evidence.pagetable import stress
from harness.evidence.pagetable.stress import Loader, Stress
from harness.model.causes import Cause
from harness.model.plan import Accel, EpochPlan
from harness.model.record import Entry, FrameEntry, SampleEntry
from harness.model.verdict import Check, Evidence
from harness.model.words.driver import Service
from harness.model.words.pagetables import StressOptions, StressStep
from harness.record.observations import Observations
from harness.record.record import Record
from harness.subjects.common import Unusable, failed, passed, unusable_check

_NAME = "stress"
TCG_CAVEAT = "under TCG stale TLB entries cannot show, so nothing is said about them"
"""QEMU's TCG flushes its whole software TLB at each write of CR3 and ignores the G bit (target/i386/helper.c,
cpu_x86_update_cr3: tlb_flush)."""


@dataclass(frozen=True)
class _Seen:
    epoch: int
    options: StressOptions
    report: Stress
    frame: FrameEntry
    hooked: int
    """Calls of SetVariable that the driver's hook counted meanwhile."""


def check_stress(observations: Observations) -> Check:
    """Every epoch with a stress step."""
    seen: list[_Seen] = []
    for plan in observations.plan.epochs:
        asked = [step.stress for epoch, step in observations.plan.steps(StressStep) if epoch == plan.number]
        frames = [*observations.record.frames("stress", plan.number), *[None] * len(asked)]
        for options, frame in zip(asked, frames, strict=False):
            found = _look(observations, plan, options, frame)
            if isinstance(found, Unusable):
                return unusable_check(_NAME, found, tuple(map(_evidence, seen)))
            wrong = _wrong(found)
            if wrong:
                return _failed(found, wrong)
            seen.append(found)
    if not seen:
        text = "the scenario has no stress step"
        return unusable_check(_NAME, Unusable(1, Cause.SETUP_NOT_PROVED, text))
    calls, rounds = sum(item.report.calls for item in seen), sum(_rounds(item.report) for item in seen)
    caveat = f"; {TCG_CAVEAT}" if observations.plan.accel is Accel.TCG else ""
    return passed(
        _NAME,
        f"{calls} pairs of SetVariable and GetVariable on {seen[0].report.cpus} CPUs, and {rounds} rounds of "
        f"mmap and munmap at firmware's addresses beside them, all with the right content{caveat}",
        evidence=tuple(map(_evidence, seen)),
    )


def _look(
    observations: Observations, plan: EpochPlan, options: StressOptions, frame: FrameEntry | None
) -> _Seen | Unusable:
    epoch, record = plan.number, observations.record
    if frame is None:
        text = f"the guest of epoch {epoch} did not report its stress"
        return Unusable(epoch, Cause.MISSING_REPORT, text)
    if frame.fields.get("runtime") == "absent":
        text = f"{plan.kernel.name} offers no EFI variables in epoch {epoch}, so firmware is never called"
        hint = "Leave out efi=noruntime and noefi, and use a kernel with EFI runtime services and efivarfs."
        return Unusable(epoch, Cause.NO_CAPABILITY, text, hint)
    report = stress.parse(record.body(frame).decode("utf-8", "backslashreplace"))
    if isinstance(report, Defect):
        return Unusable(epoch, Cause.GUEST_ERROR, f"epoch {epoch}: {report}")
    hooked = _hooked(record, frame)
    if isinstance(hooked, Defect):
        return Unusable(epoch, Cause.SETUP_NOT_PROVED, f"epoch {epoch}: {hooked}")
    unproved = _unproved(observations, frame, options, report, hooked)
    if unproved:
        return Unusable(epoch, Cause.SETUP_NOT_PROVED, f"epoch {epoch}: {unproved}")
    return _Seen(epoch, options, report, frame, hooked)


def _hooked(record: Record, frame: FrameEntry) -> int | Defect:
    """How many calls of SetVariable came to the driver between the readings of its logbook before and after."""
    at = record.entries.index(frame)
    before = _logbooks(record.entries[:at])[-1:]
    after = _logbooks(record.entries[at:])[:1]
    counts: list[int] = []
    for sample in (*before, *after):
        book = logbook.parse(record.sampled(sample))
        if isinstance(book, Defect):
            return book
        counts.append(book.services[Service.SET_VARIABLE].runtime_calls)
    if len(counts) < 2:
        return Defect("the driver's logbook was not read before and after the calls")
    return counts[1] - counts[0]


def _logbooks(entries: Sequence[Entry]) -> list[SampleEntry]:
    return [item for item in entries if isinstance(item, SampleEntry) and item.subject == logbook.SAMPLE]


def _unproved(
    observations: Observations, frame: FrameEntry, options: StressOptions, report: Stress, hooked: int
) -> str:
    """Why this was not the stress that was asked for; empty when it was."""
    if (report.calls, len(report.loaders)) != (options.calls, options.loaders):
        return (
            f"{report.calls} calls and {len(report.loaders)} loaders instead of {options.calls} and {options.loaders}"
        )
    if report.cpus != observations.plan.scenario.machine.cpus:
        return f"the guest used {report.cpus} of {observations.plan.scenario.machine.cpus} CPUs"
    if int(frame.fields.get("bytes", "0")) <= 0:
        return "the kernel shows no region of firmware's code whose addresses could be used"
    broken = [item.number for item in report.loaders if item.error or (not item.rounds and not item.bad)]
    if broken:
        return f"loader {broken[0]} did not run (errno {report.loaders[broken[0]].error})"
    if not report.failed and hooked < report.calls:
        return f"only {hooked} of {report.calls} calls of SetVariable came to firmware"
    return ""


def _wrong(seen: _Seen) -> tuple[str, ...]:
    """What the kernel did wrong."""
    report = seen.report
    said = [_spoiled(item) for item in report.loaders if item.bad or item.end]
    if report.failed:
        what = "read back other bytes" if report.first == stress.NOT_THE_SAME else f"errno {report.first}"
        said.append(f"{report.failed} of {report.calls} calls of firmware failed, the first with {what}")
    return tuple(said)


def _spoiled(item: Loader) -> str:
    if not item.bad:
        return f"process {item.number} ended with status {item.end:#x} after {item.rounds} rounds"
    return (
        f"process {item.number} found {item.bad} words that are not its own, the first at {item.address:#x}: "
        f"{item.found:#x} instead of {item.expected:#x}"
    )


def _failed(seen: _Seen, wrong: tuple[str, ...]) -> Check:
    return failed(
        _NAME,
        Cause.EFI_STRESS,
        f"beside calls of firmware in epoch {seen.epoch}, {wrong[0]}",
        epoch=seen.epoch,
        evidence=(*(Evidence(text=text, where=seen.frame.body_file or "") for text in wrong), _evidence(seen)),
        hint="A stale translation leads to another address space's page; see docs/page-tables.md.",
    )


def _rounds(report: Stress) -> int:
    return sum(item.rounds for item in report.loaders)


def _evidence(seen: _Seen) -> Evidence:
    base, size = (int(seen.frame.fields.get(name, "0")) for name in ("base", "bytes"))
    text = (
        f"epoch {seen.epoch}: {seen.report.calls} calls of {seen.hooked} that the hook counted; "
        f"{len(seen.report.loaders)} processes, {_rounds(seen.report)} rounds over {size // 1024} KiB at {base:#x}"
    )
    return Evidence(text=text, where=seen.frame.body_file or "journal.jsonl")
