"""How the run ended, when it did not end as planned: whose fault, in which phase, with the last words."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.evidence import crash
from harness.evidence.code.autopsy import headline
from harness.evidence.crash import Severity
from harness.model import autopsy
from harness.model.causes import Cause
from harness.model.record import EndKind, RunEnd
from harness.model.verdict import Check, Evidence
from harness.record.observations import Observations
from harness.subjects.common import failed, judged
from harness.subjects.vitals import blame
from harness.subjects.vitals.blame import Fault
from harness.subjects.vitals.crash import quoted, title

_NAME = "run"

# End kinds that speak for themselves.
_PLAIN: dict[EndKind, Fault] = {
    EndKind.POWEROFF: Fault(Cause.POWEROFF, "The guest switched the machine off before its time."),
    EndKind.BACK_IN_FIRMWARE: Fault(
        Cause.BACK_IN_FIRMWARE, "The kexec fell back to firmware; look at the last console lines before it."
    ),
    EndKind.BOOT_LOOP: Fault(Cause.BOOT_LOOP, "Look at the last console lines before the second one of these banners."),
    EndKind.PORT_LOST: Fault(
        Cause.PORT_LOST, "QEMU or the harness closed it, not the kernel under test; run it again."
    ),
    EndKind.CLOCK_SKEW: Fault(
        Cause.CLOCK_SKEW, "A clock of the host was set, or the host slept, during the run: run it again."
    ),
    EndKind.QEMU_DIED: Fault(Cause.QEMU_DIED, "Read qemu.stderr; was QEMU killed (memory, a person)?"),
    EndKind.HOST: Fault(Cause.HOST, "The host failed, not the kernel under test; see the detail."),
    EndKind.INTERRUPTED: Fault(Cause.INTERRUPTED, "Run it again."),
}
_LOOKED_INTO: dict[EndKind, Callable[[Observations, RunEnd], Fault]] = {
    EndKind.PANIC: blame.panic,
    EndKind.RESET: blame.reset,
    EndKind.GUEST_ERROR: blame.guest_error,
    EndKind.HALTED: blame.halted,
    EndKind.TIMEOUT: blame.timeout,
}
_TERMINATED = "terminating on signal 15"


def check_ending(observations: Observations) -> Check | None:
    """None for a run that was completed."""
    end = observations.record.end
    if end is None:
        return failed(
            _NAME,
            Cause.BAD_RECORD,
            "the record has no end.json: the harness was killed before it could write how the run ended",
            hint="Run it again.",
        )
    if end.kind is EndKind.COMPLETE:
        return None
    look = _LOOKED_INTO.get(end.kind)
    fault = _PLAIN[end.kind] if look is None else look(observations, end)
    return judged(
        _NAME,
        fault.cause,
        f"{_what(observations, end, fault)} (epoch {end.epoch}, phase {end.phase}, after {end.t_s:.1f} s)",
        epoch=end.epoch,
        evidence=tuple(_last_words(observations, end)),
        hint=fault.hint,
    )


def _what(observations: Observations, end: RunEnd, fault: Fault) -> str:
    """A panic by the title of its report, all else by what is known of it, or in the words of the runner."""
    if fault.what or end.kind is not EndKind.PANIC:
        return fault.what or end.detail
    report = [found for found in _crashes(observations, end) if found.severity is not Severity.WARNING]
    return title(report) if report else end.detail


def _crashes(observations: Observations, end: RunEnd) -> tuple[crash.Crash, ...]:
    return crash.find(observations.epoch_lines(end.epoch))


def _last_words(observations: Observations, end: RunEnd) -> Iterator[Evidence]:
    yield from quoted(_crashes(observations, end))
    last = next((line for line in reversed(observations.lines) if line.text.strip()), None)
    if last is not None:
        yield Evidence(text=f"last console line: {last.text.strip()[:200]}", where=f"console.log:{last.number}")
    yield from _autopsy(observations)
    if end.kind is EndKind.GUEST_ERROR:
        yield from _output(observations, end)
    if end.qemu_exit is not None:
        yield Evidence(text=f"QEMU's exit status: {end.qemu_exit}", where="qemu.stderr")
    for line in _stderr(observations, end)[-3:]:
        yield Evidence(text=f"QEMU says: {line[:300]}", where="qemu.stderr")


def _autopsy(observations: Observations) -> Iterator[Evidence]:
    """What the machine was doing, and what its kernel had logged and not printed."""
    found = observations.record.autopsy
    if found is None:
        return
    doing = headline(found)
    if doing:
        yield Evidence(text=f"looked at from outside: {doing}", where=autopsy.FILE)
    for line in found.printk[-3:]:
        yield Evidence(text=f"in the kernel's log, not on the console: {line[:200]}", where=autopsy.FILE)


def _output(observations: Observations, end: RunEnd) -> Iterator[Evidence]:
    """The end of what a guest's failed step printed."""
    for kind in ("error", "loaded"):
        frame = observations.record.frame(kind, end.epoch)
        text = observations.record.body(frame).decode("utf-8", "backslashreplace")
        for line in [line.strip() for line in text.splitlines() if line.strip()][-3:]:
            yield Evidence(text=f"its output: {line[:200]}", where=observations.cited(frame))


def _stderr(observations: Observations, end: RunEnd) -> list[str]:
    """What QEMU said, but for its last words when the harness itself ended it."""
    said = observations.record.read("qemu.stderr").decode("utf-8", "backslashreplace").splitlines()
    ended_by_us = end.kind is not EndKind.QEMU_DIED
    return [line for line in said if line.strip() and not (ended_by_us and _TERMINATED in line)]
