"""How the run ended, when it did not end as planned: whose fault, in which phase, with the last words."""

from __future__ import annotations

from collections.abc import Iterator

from harness.evidence import crash, klog
from harness.evidence.crash import Severity
from harness.model.record import EndKind, Phase, RunEnd
from harness.model.verdict import Cause, Check, Evidence, Status
from harness.run.checks.crash import quoted, title
from harness.run.observations import Observations

_NAME = "run"

# End kinds that speak for themselves: status, cause, what to do.
_PLAIN: dict[EndKind, tuple[Status, Cause, str]] = {
    EndKind.PANIC: (Status.FAIL, Cause.PANIC, "Read the console from the quoted line on."),
    EndKind.RESET: (
        Status.FAIL,
        Cause.RESET,
        "The machine reset behind the kernel's back (triple fault, or a reset by firmware); "
        "look at the last console lines and at debugcon.log.",
    ),
    EndKind.POWEROFF: (Status.FAIL, Cause.POWEROFF, "The guest switched the machine off before its time."),
    EndKind.BACK_IN_FIRMWARE: (
        Status.FAIL,
        Cause.BACK_IN_FIRMWARE,
        "The kexec fell back to firmware; look at the last console lines before it.",
    ),
    EndKind.QEMU_DIED: (Status.ERROR, Cause.QEMU_DIED, "Read qemu.stderr; was QEMU killed (memory, a person)?"),
    EndKind.HOST: (Status.ERROR, Cause.HOST, "The host failed, not the kernel under test; see the detail."),
    EndKind.INTERRUPTED: (Status.ERROR, Cause.INTERRUPTED, "Run it again."),
}

_NO_DISK = "load: no disk with serial"
"""harness/guest/files/commands.sh"""
_TERMINATED = "terminating on signal 15"


def check_ending(observations: Observations) -> Check | None:
    """None for a run that was completed."""
    end = observations.record.end
    if end is None:
        return Check(
            name=_NAME,
            status=Status.ERROR,
            cause=Cause.BAD_RECORD,
            summary="the record has no end.json: the harness was killed before it could write how the run ended",
            hint="Run it again.",
        )
    if end.kind is EndKind.COMPLETE:
        return None
    status, cause, hint = _fault(observations, end)
    return Check(
        name=_NAME,
        status=status,
        cause=cause,
        summary=f"{_what(observations, end)} (epoch {end.epoch}, phase {end.phase}, after {end.t_s:.1f} s)",
        epoch=end.epoch,
        evidence=tuple(_last_words(observations, end)),
        hint=hint,
    )


def _fault(observations: Observations, end: RunEnd) -> tuple[Status, Cause, str]:
    if end.kind in _PLAIN:
        return _PLAIN[end.kind]
    if end.kind is EndKind.GUEST_ERROR:
        return _guest_error(observations, end)
    return _timeout(observations, end)


def _guest_error(observations: Observations, end: RunEnd) -> tuple[Status, Cause, str]:
    if end.epoch == 0:
        return Status.ERROR, Cause.AGENT_ERROR, "The EFI agent could not do what the plan says: look up its EFI status."
    loaded = observations.record.frame("loaded", end.epoch)
    if loaded is not None and loaded.fields.get("rc") != "0":
        return Status.FAIL, Cause.KEXEC_LOAD_FAILED, "The kernel or kexec-tools refused to load the next kernel."
    driver = _missing_driver(observations, end)
    if driver:
        hint = (
            f"This kernel has no {driver}, neither built in nor as a module beside the image, so it cannot read the "
            "next kernel. Give the .deb, or the image with its config and modules as an entry (docs/kernels.md)."
        )
        return Status.UNSUPPORTED, Cause.NO_CAPABILITY, hint
    return Status.ERROR, Cause.GUEST_ERROR, "The guest agent could not do a step; read its output."


def _missing_driver(observations: Observations, end: RunEnd) -> str:
    """The driver without which the guest found no disk; empty when it has both, or it is about something else."""
    if _NO_DISK not in end.detail:
        return ""
    modules = (observations.record.text(end.epoch, "modules") or "").splitlines()
    return next((name for name in ("virtio_pci", "virtio_blk") if f"{name}=absent" in modules), "")


def _timeout(observations: Observations, end: RunEnd) -> tuple[Status, Cause, str]:
    if end.phase in (Phase.START, Phase.FIRMWARE, Phase.AGENT):
        return Status.ERROR, Cause.NO_BOOT, "Firmware or EFI agent did not get ready; look at debugcon.log."
    if end.epoch <= 1 and not klog.banners(observations.epoch_lines(1)):
        hint = (
            "Nothing shows that this kernel ever ran. Is it an x86-64 bzImage with EFI_STUB and a serial console "
            "(SERIAL_8250_CONSOLE)?"
        )
        return Status.ERROR, Cause.NO_BOOT, hint
    hint = "Look at the last console lines; a slow host can be given more time with --time-factor."
    return Status.FAIL, Cause.HANG, hint


def _what(observations: Observations, end: RunEnd) -> str:
    """A panic by the title of its report, all else in the words of the runner."""
    driver = _missing_driver(observations, end)
    if driver:
        return f"this kernel has no {driver}, so its guest cannot read the next kernel: {end.detail}"
    report = [found for found in _crashes(observations, end) if found.severity is not Severity.WARNING]
    return title(report) if end.kind is EndKind.PANIC and report else end.detail


def _crashes(observations: Observations, end: RunEnd) -> tuple[crash.Crash, ...]:
    return crash.find(observations.epoch_lines(end.epoch))


def _last_words(observations: Observations, end: RunEnd) -> Iterator[Evidence]:
    yield from quoted(_crashes(observations, end))
    last = next((line for line in reversed(observations.lines) if line.text.strip()), None)
    if last is not None:
        yield Evidence(text=f"last console line: {last.text.strip()[:200]}", where=f"console.log:{last.number}")
    if end.kind is EndKind.GUEST_ERROR:
        yield from _output(observations, end)
    if end.qemu_exit is not None:
        yield Evidence(text=f"QEMU's exit status: {end.qemu_exit}", where="qemu.stderr")
    for line in _stderr(observations, end)[-3:]:
        yield Evidence(text=f"QEMU says: {line[:300]}", where="qemu.stderr")


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
