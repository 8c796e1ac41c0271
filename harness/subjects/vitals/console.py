"""Is the console to be believed? Every kernel that reported on the link must have spoken on it too, to the end."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence import klog
from harness.model.causes import Cause
from harness.model.plan import EpochPlan
from harness.model.verdict import Check, Evidence
from harness.record.observations import Observations
from harness.subjects.common import failed, passed

_NAME = "console"
_RUN_INIT = "Run /init as init process"
"""init/main.c, run_init_process(): the last line of a boot that every kernel prints, at level info."""
_LEAVING = "Starting new kernel"
"""kernel/kexec_core.c, kernel_kexec(): the last line of a kernel that jumps, at level notice."""
_LEAVING_XEN = "Executing kexec image on cpu"
"""xen/common/kexec.c, kexec_exec(): a kexec from dom0 is Xen's, and dom0's kernel says nothing."""
_MAX_GAP_LINES = 40
"""Messages at level debug are in the log and not on the console; the longest run of them seen is 8 (tiny kernels)."""
_MIN_LOGLEVEL = 7
"""The console shows messages below it; both lines above are."""


def check_console(observations: Observations) -> Check | None:
    """None when no kernel reported, or when the scenario silences the console itself."""
    record = observations.record
    spoken = [item for item in observations.plan.epochs if record.frame("hello", item.number) and not _quiet(item)]
    for look in (_silent, _stalled):
        wrong = next(filter(None, (look(observations, epoch) for epoch in spoken)), None)
        if wrong is not None:
            return wrong
    if not spoken:
        return None
    count = len(spoken)
    return passed(_NAME, f"{count} kernel{'s' * (count > 1)} printed what they logged, to the end")


def _quiet(epoch: EpochPlan) -> bool:
    words = epoch.cmdline.split()
    levels = [word.partition("=")[2] for word in words if word.startswith("loglevel=")]
    return "quiet" in words or not levels or not levels[-1].isdigit() or int(levels[-1]) < _MIN_LOGLEVEL


def _silent(observations: Observations, epoch: EpochPlan) -> Check | None:
    if klog.banners(observations.epoch_lines(epoch.number)):
        return None
    return failed(
        _NAME,
        Cause.NO_CONSOLE,
        f"the kernel of epoch {epoch.number} reported on the link, but its first line is not on the console",
        epoch=epoch.number,
        hint="What it printed, a crash perhaps, is lost. Has this kernel a serial console (SERIAL_8250_CONSOLE)?",
    )


def _stalled(observations: Observations, epoch: EpochPlan) -> Check | None:
    """Lines that must have been printed, and are not there."""
    lines = observations.epoch_lines(epoch.number)
    log = tuple(line.text for line in klog.lines(observations.record.fact(epoch.number, "klog") or b""))
    gap = _gap(log, frozenset(line.text for line in lines))
    if len(gap) >= _MAX_GAP_LINES:
        what = f"{len(gap)} lines in a row that the kernel logged are missing, from {gap[0][:80]!r} on"
        return _missing(epoch, what, lines)
    if any(_RUN_INIT in text for text in log) and not any(_RUN_INIT in line.text for line in lines):
        return _missing(epoch, f"{_RUN_INIT!r} is missing", lines)
    after = observations.record.frame("hello", epoch.number + 1)
    # What a kernel prints after it said that it leaves counts to the next epoch; but link and console are read by two
    # threads, and on a busy host the line may be seen before the frame.
    farewell = (*lines, *observations.epoch_lines(epoch.number + 1))
    jumped = after is not None and observations.record.frame("leaving", epoch.number) is not None
    leaving = _LEAVING_XEN if observations.plan.hypervisor is not None and epoch.number == 1 else _LEAVING
    if jumped and not any(leaving in line.text for line in farewell):
        return _missing(epoch, f"{leaving!r} is missing", farewell)
    return None


def _gap(log: Sequence[str], printed: frozenset[str]) -> Sequence[str]:
    """The longest run of lines that were logged and not printed."""
    longest: Sequence[str] = ()
    start = 0
    for number, text in enumerate(log):
        if not text.strip() or text in printed:
            start = number + 1
        elif number + 1 - start > len(longest):
            longest = log[start : number + 1]
    return longest


def _missing(epoch: EpochPlan, what: str, lines: Sequence[klog.Line]) -> Check:
    return failed(
        _NAME,
        Cause.STALLED_CONSOLE,
        f"the console stopped in epoch {epoch.number}, while the link went on: {what}",
        epoch=epoch.number,
        evidence=tuple(
            Evidence(text=f"last line of it: {line.text[:200]}", where=f"console.log:{line.number}")
            for line in lines[-1:]
        ),
        hint="What was printed meanwhile, a crash perhaps, is lost. Run it again.",
    )
