"""Is the machine still alive, does it reset when it is told to, does the kernel refuse what it must refuse?"""

from __future__ import annotations

from collections.abc import Iterator

from harness.evidence.logbook import Logbook
from harness.model.causes import Cause, Status
from harness.model.record import CommandEntry, EndKind, EventEntry, FrameEntry
from harness.model.verdict import Check, Evidence
from harness.model.words.runtime import AliveStep, KexecRefusedStep, RebootBy, RebootStep
from harness.record.observations import Observations
from harness.subjects.common import judged
from harness.subjects.runtime.calls import Call, calls

_ENOEXEC = 8
_SHOWN_BYTES = 4096


def check_alive(observations: Observations) -> Check | None:
    """Every look at the machine found it alive; None when the scenario takes none, or the run ended before."""
    looks = [entry for entry in observations.record.commands if entry.name == "alive"]
    wanted = len(list(observations.plan.steps(AliveStep)))
    if not looks or not wanted:
        return None
    evidence: list[Evidence] = []
    frames = list(observations.record.frames("alive"))
    for frame in frames:
        wrong = next(_not_alive(observations, frame), None)
        if wrong is not None:
            status = Status.ERROR if frame.fields.get("disk") == "absent" else Status.FAIL
            cause = Cause.NOT_ALIVE if status is Status.FAIL else Cause.SETUP_NOT_PROVED
            hint = "Look at the alive frame in journal.jsonl and at the last console lines."
            return _check("alive", cause, f"epoch {frame.epoch}: {wrong}", frame.epoch, hint=hint)
        text = f"epoch {frame.epoch}: fork, 16 MiB of memory and a page of disk {frame.fields.get('serial')}"
        evidence.append(Evidence(text=f"{text} in {frame.fields.get('us')} us", where=observations.cited(frame)))
    if len(frames) < wanted:
        text = f"the guest answered {len(frames)} of {wanted} looks at whether it is alive"
        return _check("alive", Cause.MISSING_REPORT, text, hint="See the check of the run's end.")
    text = f"alive at {len(frames)} looks: fork, memory, disk, no task stuck"
    return _check("alive", None, text, evidence=tuple(evidence))


def _not_alive(observations: Observations, frame: FrameEntry) -> Iterator[str]:
    fields = frame.fields
    if fields.get("disk") == "absent":
        yield "the machine has no disk to read from"
        return
    if fields.get("returned") != "yes":
        yield f"the look did not come back: it stopped at {fields.get('at')} (state {fields.get('state', '?')})"
        return
    for part in ("fork", "memory", "disk"):
        if fields.get(part) != "0":
            yield f"{part} failed with errno {fields.get(part)}"
    payload = next((item for item in observations.plan.payloads if item.serial == fields.get("serial")), None)
    there = None
    if payload is not None:
        there = observations.record.read_payload(str(payload.path), 0, min(_SHOWN_BYTES, payload.size_bytes))
    found = observations.record.body(frame)
    if len(found) != _SHOWN_BYTES:
        yield f"{len(found)} bytes were read from the disk, not {_SHOWN_BYTES}"
    elif there is not None and not found.startswith(there):
        yield "the disk's first page was read, but it is not what is on it"
    tasks = [task for task in fields.get("stuck", "").split(",") if task]
    stuck = [task for task in tasks if task.partition(" ")[0] not in _left(observations)]
    if stuck:
        yield f"tasks are stuck in an uninterruptible wait: {', '.join(stuck)}"


def _left(observations: Observations) -> set[str]:
    """Processes that are known to wait for firmware: what that means is for another check."""
    return {call.field("pid") for call in calls(observations) if call.field("returned") == "no"}


def check_reboot(observations: Observations) -> Check | None:
    """The machine was reset; None when the scenario does not, or the run ended before."""
    step = next((step for _, step in observations.plan.steps(RebootStep)), None)
    asked = next((entry for entry in observations.record.commands if entry.name == "reboot"), None)
    if step is None or asked is None:
        return None
    call = next(call for call in calls(observations) if call.command is asked)
    event = next((entry for entry in observations.record.events if _resets(entry) and entry.t_s > asked.t_s), None)
    end = observations.record.end
    if _through_bios(observations, call, event):
        text = (
            f"reboot by {step.reboot.by}: firmware runs again from its reset vector, as after a fault in ResetSystem "
            "it should; the machine itself was not reset"
        )
        return _check("reboot", None, text, asked.epoch)
    if event is None or end is None or end.kind is not EndKind.COMPLETE:
        said = end.detail if end is not None else "the record has no end"
        text = f"reboot by {step.reboot.by}: the machine was not reset ({said})"
        hint = "Look at the last console lines; a fault in ResetSystem is judged by runtime_fault."
        return _check("reboot", Cause.REBOOT_FAILED, text, asked.epoch, hint=hint)
    reached = call.delta("runtime_calls")
    if step.reboot.by is RebootBy.EFI and reached == 0 and not _off(observations, asked):
        text = "reboot=efi: the machine was reset, but the driver's hook of ResetSystem was never called"
        return _check("reboot", Cause.SETUP_NOT_PROVED, text, asked.epoch)
    by = "" if not reached else f", by firmware's ResetSystem ({reached} call{'s' if reached > 1 else ''})"
    where = Evidence(
        text=f"QMP SHUTDOWN {event.data}, {event.t_s - asked.t_s:.1f} s after the command", where="journal.jsonl"
    )
    text = f"reboot by {step.reboot.by}: the machine was reset{by}"
    return _check("reboot", None, text, asked.epoch, evidence=(where,))


def _resets(event: EventEntry) -> bool:
    return event.name == "SHUTDOWN" and "guest-reset" in event.data


def _through_bios(observations: Observations, call: Call, event: EventEntry | None) -> bool:
    """Did the kernel start firmware again without a reset? It promises that for a fault in ResetSystem only."""
    again = any(entry.t_s > call.command.t_s for entry in observations.record.frames("ready"))
    return event is None and call.fault is not None and again


def _off(observations: Observations, asked: CommandEntry) -> bool:
    """Did the kernel switch runtime services off before? efi_reboot() does nothing then."""
    before: list[Call] = [call for call in calls(observations) if call.command.t_s < asked.t_s]
    lost = any(call.fault is not None for call in before if isinstance(call.after, Logbook))
    return lost or any(call.field("runtime") == "absent" for call in before)


def check_kexec_refused(observations: Observations) -> Check | None:
    """Every load that must be refused was, with ENOEXEC, or on Xen in any words; None when the scenario tries none."""
    wanted = list(observations.plan.steps(KexecRefusedStep))
    frames = list(observations.record.frames("tried"))
    if not wanted:
        return None
    for frame in frames:
        rc = frame.fields.get("rc")
        call = f"{frame.fields.get('syscall')} load in epoch {frame.epoch}"
        if rc == "0":
            text = f"the kernel accepted a {call} that it must refuse"
            return _check("kexec_refused", Cause.KEXEC_ACCEPTED, text, frame.epoch)
        if rc != str(_ENOEXEC) and observations.plan.hypervisor is None:
            text = f"the {call} failed with {rc}, not with ENOEXEC: {frame.fields.get('said', '')}"
            return _check("kexec_refused", Cause.SETUP_NOT_PROVED, text, frame.epoch)
    if len(frames) < len(wanted):
        return _check("kexec_refused", Cause.MISSING_REPORT, "the run ended before the load was tried")
    said = "; ".join(frame.fields.get("said", "") for frame in frames)
    return _check("kexec_refused", None, f"refused: {said}", frames[0].epoch)


def _check(
    name: str,
    cause: Cause | None,
    summary: str,
    epoch: int | None = None,
    *,
    hint: str = "",
    evidence: tuple[Evidence, ...] = (),
) -> Check:
    return judged(name, cause, summary, epoch=epoch, hint=hint, evidence=evidence)
