"""No panic, oops or BUG on the console, in any epoch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.evidence import crash
from harness.evidence.crash import Crash, Severity
from harness.model.causes import Cause
from harness.model.record import Phase
from harness.model.verdict import Check, Evidence
from harness.model.words.kdump import TRIGGERS, CrashStep
from harness.record.observations import Observations
from harness.subjects.common import failed, judged, missing, passed
from harness.subjects.tables.ramdisk import NO_ROOT
from harness.subjects.vitals.starved import HINT, starved_report

_NAME = "no_crash"


def check_crash(observations: Observations) -> Check:
    """Every line of the console is held against the table of crash formats."""
    found = crash.find(observations.lines)
    fatal = [item for item in found if item.severity is not Severity.WARNING]
    wanted = (*_wanted(observations, fatal), *_no_root(observations, fatal))
    fatal = [item for item in fatal if item not in wanted]
    if fatal:
        return _crashed(observations, fatal)
    silent = next((epoch for epoch in observations.entered if not observations.spoke(epoch)), None)
    if silent is not None or not observations.entered:
        return _unknown(silent)
    count = len(observations.entered)
    return passed(
        _NAME,
        f"no panic, oops or BUG in {len(observations.lines)} console lines of {count} kernel{'s' if count > 1 else ''}",
        evidence=tuple(
            Evidence(text=f"not counted as a crash: {item.title}", where=f"console.log:{item.line_number}")
            for item in found[:5]
        ),
    )


def _wanted(observations: Observations, fatal: Sequence[Crash]) -> Sequence[Crash]:
    """The reports of the crash that was injected: from the farewell of the guest agent to the end of that epoch, when
    the first that a trigger of this kind makes is among them. Whether it is the right one is judged by its dump.
    """
    for epoch, step in observations.plan.steps(CrashStep):
        begin = next((p for p in observations.record.phases if (p.phase, p.epoch) == (Phase.CRASHED, epoch)), None)
        if begin is None:
            continue
        end = observations.begin_offset(epoch + 1)
        offsets = {line.number: line.offset for line in observations.lines}
        report = [item for item in fatal if begin.console_offset <= offsets[item.line_number] < end]
        if any(re.search(TRIGGERS[step.crash.by].report, item.text) for item in report):
            return report
    return ()


def _no_root(observations: Observations, fatal: Sequence[Crash]) -> Sequence[Crash]:
    """The panic with which a kernel must end that was given no initrd."""
    rootless = {epoch.number for epoch in observations.plan.epochs if epoch.without_initrd}
    lines = {line.number: line for line in observations.lines}
    return [
        item for item in fatal if NO_ROOT in item.text and observations.epoch_of(lines[item.line_number]) in rootless
    ]


def _crashed(observations: Observations, fatal: Sequence[Crash]) -> Check:
    lines = {line.number: line for line in reversed(observations.lines)}
    epoch = observations.epoch_of(lines[fatal[0].line_number])
    # One report is a BUG, then an Oops, then perhaps a panic; what a later epoch prints is another report.
    report = [item for item in fatal if observations.epoch_of(lines[item.line_number]) == epoch]
    if starved_report(observations, fatal):
        return failed(
            _NAME,
            Cause.HOST,
            f"{title(report)} (epoch {epoch}), as on a host that is too busy",
            epoch=epoch,
            evidence=tuple(quoted(fatal)),
            hint=HINT,
        )
    return judged(
        _NAME,
        Cause.PANIC if any(item.severity is Severity.PANIC for item in report) else Cause.OOPS,
        f"{title(report)} (epoch {epoch})",
        epoch=epoch,
        evidence=tuple(quoted(fatal)),
        hint=f"Read console.log from line {fatal[0].line_number} on.",
    )


def _unknown(silent: int | None) -> Check:
    who = "no kernel was started" if silent is None else f"the kernel of epoch {silent} printed nothing"
    return missing(
        _NAME,
        f"{who}, so nothing shows that nothing crashed",
        epoch=silent,
        hint="See the check of the run's end."
        if silent is None
        else "Has this kernel a serial console (SERIAL_8250_CONSOLE)? Is 'quiet' on its command line?",
    )


def title(report: Sequence[Crash]) -> str:
    """What came first, and the panic that it led to."""
    first = report[0]
    panic = next((item for item in report if item.severity is Severity.PANIC), first)
    return first.title if panic is first else f"{first.title}, then {panic.title}"


def quoted(report: Sequence[Crash]) -> Iterator[Evidence]:
    """The first lines of a report, as printed, and where it happened: innermost function first."""
    for item in report[:4]:
        yield Evidence(text=item.text.strip()[:200], where=f"console.log:{item.line_number}")
    traced = next((item for item in report if item.backtrace), None)
    if traced is not None:
        shown = " < ".join(frame.text for frame in traced.backtrace[:8])
        yield Evidence(text=f"backtrace: {shown}", where=f"console.log:{traced.line_number}")
