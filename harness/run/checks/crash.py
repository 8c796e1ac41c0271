"""No panic, oops or BUG on the console, in any epoch."""

from __future__ import annotations

from harness.evidence import crash
from harness.evidence.crash import Severity
from harness.model.verdict import Cause, Check, Evidence, Status
from harness.run.observations import Observations

_NAME = "no_crash"


def check_crash(observations: Observations) -> Check:
    """Every line of the console is held against the table of crash formats."""
    found = crash.find(observations.lines)
    fatal = [item for item in found if item.severity is not Severity.WARNING]
    if fatal:
        first = fatal[0]
        line = next(line for line in observations.lines if line.number == first.line_number)
        return Check(
            name=_NAME,
            status=Status.FAIL,
            cause=Cause.PANIC if first.severity is Severity.PANIC else Cause.OOPS,
            summary=first.title,
            epoch=observations.epoch_of(line),
            evidence=tuple(
                Evidence(text=item.text.strip()[:200], where=f"console.log:{item.line_number}") for item in fatal[:4]
            ),
            hint="Read the console from there on.",
        )
    if observations.last_epoch == 0 or not observations.lines:
        return Check(
            name=_NAME,
            status=Status.ERROR,
            cause=Cause.MISSING_REPORT,
            summary="no kernel printed anything: nothing shows that nothing crashed",
            hint="Has the kernel a serial console (SERIAL_8250_CONSOLE)?",
        )
    warnings = tuple(
        Evidence(text=f"not counted as a crash: {item.title}", where=f"console.log:{item.line_number}")
        for item in found
    )
    return Check(
        name=_NAME,
        status=Status.PASS,
        summary=f"no panic, oops or BUG in {len(observations.lines)} console lines of "
        f"{max(observations.last_epoch, 0)} kernels",
        evidence=warnings[:5],
    )
