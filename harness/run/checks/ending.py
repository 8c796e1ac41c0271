"""How the run ended, when it did not end as planned: whose fault, in which phase, with the last words."""

from __future__ import annotations

from harness.evidence import crash, klog
from harness.model.record import EndKind, Phase, RunEnd
from harness.model.verdict import Cause, Check, Evidence, Status
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


def check_ending(observations: Observations) -> Check | None:
    """None for a run that was completed."""
    end = observations.record.end
    if end is None:
        return Check(
            name=_NAME,
            status=Status.ERROR,
            cause=Cause.BAD_RECORD,
            summary="the record has no end.json: the harness was killed, or the record was cut short",
            hint="Run it again.",
        )
    if end.kind is EndKind.COMPLETE:
        return None
    status, cause, hint = _fault(observations, end)
    return Check(
        name=_NAME,
        status=status,
        cause=cause,
        summary=f"{end.detail} (epoch {end.epoch}, phase {end.phase}, after {end.t_s:.1f} s)",
        epoch=end.epoch,
        evidence=_last_words(observations, end),
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
        return Status.ERROR, Cause.AGENT_ERROR, "The EFI agent could not do what the plan says; see its status."
    loaded = observations.record.frame("loaded", end.epoch)
    if loaded is not None and loaded.fields.get("rc") != "0":
        return Status.FAIL, Cause.KEXEC_LOAD_FAILED, "The kernel or kexec-tools refused to load the next kernel."
    return Status.ERROR, Cause.GUEST_ERROR, "The guest agent could not do a step; its output is in facts/."


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


def _last_words(observations: Observations, end: RunEnd) -> tuple[Evidence, ...]:
    evidence = [
        Evidence(text=f"{found.title}: {found.text.strip()}", where=f"console.log:{found.line_number}")
        for found in crash.find(observations.epoch_lines(end.epoch))
    ][:3]
    last = next((line for line in reversed(observations.lines) if line.text.strip()), None)
    if last is not None:
        evidence.append(
            Evidence(text=f"last console line: {last.text.strip()[:200]}", where=f"console.log:{last.number}")
        )
    if end.qemu_exit is not None:
        evidence.append(Evidence(text=f"QEMU's exit status: {end.qemu_exit}", where="qemu.stderr"))
    stderr = observations.record.read("qemu.stderr").decode("utf-8", "backslashreplace").strip()
    if stderr:
        evidence.append(Evidence(text=stderr.splitlines()[-1][:300], where="qemu.stderr"))
    return tuple(evidence)
