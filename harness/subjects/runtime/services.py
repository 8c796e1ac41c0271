"""Runtime services that must work: the driver that watches them, the calls, the variables, the firmware's word size."""

from __future__ import annotations

from collections.abc import Iterator

from harness.evidence.defect import Defect
from harness.evidence.logbook import Logbook
from harness.model.causes import Cause, Status
from harness.model.verdict import Check, Evidence
from harness.model.words.driver import Service
from harness.model.words.runtime import RuntimeWork
from harness.record.observations import Observations
from harness.subjects.common import judged, missing
from harness.subjects.runtime.calls import Call, calls

_NAME = "runtime_services"
_DIFFERENT = 1000
"""hruntime.c: another value than was written."""


def check_driver(observations: Observations) -> Check | None:
    """The runtime driver is where and what the plan says; None when the plan has none, or its kernel never started."""
    plan = observations.plan.runtime
    if plan is None or not observations.entered:
        return None
    frame = observations.record.frame("runtime", 0)
    listed = observations.record.body(frame).decode("ascii", "replace").split("\n")
    hooks = dict(_hook(line) for line in listed if line.startswith("hook "))
    wrong = ""
    if frame is None:
        wrong = "the EFI agent did not report it"
    elif frame.fields.get("memattr") != plan.memattr.value:
        wrong = f"the Memory Attributes Table was handled as {frame.fields.get('memattr')}, planned was {plan.memattr}"
    for service in Service:
        if (service in plan.hooks) != hooks.get(service.value, False) and not wrong:
            wrong = f"{service} is {'not ' if service in plan.hooks else ''}hooked"
    book = next((call.before for call in calls(observations) if isinstance(call.before, Logbook)), None)
    unread = next(_unread(observations), None)
    if unread is not None and not wrong:
        wrong = str(unread)
    if book is not None and book.nonce != observations.plan.nonce and not wrong:
        wrong = f"its logbook is that of another run ({book.nonce})"
    return judged(
        "runtime driver",
        Cause.SETUP_NOT_PROVED if wrong else None,
        f"the runtime driver: {wrong}" if wrong else f"the runtime driver hooks {', '.join(plan.hooks)}",
        evidence=tuple(
            Evidence(text=line, where=observations.cited(frame)) for line in listed if line.startswith("hook ")
        ),
        hint="Look at the EFI agent's runtime frame in journal.jsonl and at debugcon.log." if wrong else "",
    )


def _unread(observations: Observations) -> Iterator[Defect]:
    """Logbooks that say nothing, where they must: a fault's own check looks at what it has left, and after a reset
    firmware has overwritten the page.
    """
    for call in calls(observations):
        if call.fault is None and call.command.name != "reboot":
            yield from (book for book in (call.before, call.after) if isinstance(book, Defect))


def _hook(line: str) -> tuple[str, bool]:
    """``hook SERVICE 0xOLD 0xNEW``."""
    _, service, old, new = line.split()
    return service, old != new


def check_runtime_services(observations: Observations, level: RuntimeWork) -> Check:
    """Every call without a fault works, in every kernel or in the first one only."""
    found = [call for call in calls(observations) if call.command.name != "reboot"]
    if any(call.fault is not None for call in found):
        found = found[: next(place for place, call in enumerate(found) if call.fault is not None)]
    trips = 0
    for call in found:
        gone = level is RuntimeWork.FIRST_KERNEL_ONLY and call.epoch > 1
        wrong = _still_there(call) if gone else _not_working(observations, call)
        if wrong is not None:
            return wrong
        trips += call.number("done") if call.command.name == "efivars" else 0
    if not found:
        return _check(Cause.MISSING_REPORT, "the run ended before any call of firmware")
    epochs = sorted({call.epoch for call in found if call.field("runtime") == "present"})
    said = f"{len(found)} call{'s' if len(found) > 1 else ''} in epoch {', '.join(map(str, epochs))}"
    said += f", {trips} round trips of a variable" if trips else ""
    if level is RuntimeWork.FIRST_KERNEL_ONLY:
        said += "; none offered after kexec"
    return _check(None, f"runtime services work: {said}", evidence=tuple(_counts(found)))


def _not_working(observations: Observations, call: Call) -> Check | None:
    if call.answer is None:
        return _check(Cause.MISSING_REPORT, f"the guest did not report on {call.title}", call)
    kernel = observations.plan.epochs[call.epoch - 1].kernel.name
    if call.field("runtime") == "absent":
        text = f"{kernel} offers no EFI variables in epoch {call.epoch}: no runtime services, or no efivarfs"
        return _check(Cause.NO_CAPABILITY, text, call)
    if call.field("efi_test") == "absent":
        text = f"{kernel} has no /dev/efi_test (CONFIG_EFI_TEST); no x86 kernel calls GetTime without it"
        return _check(Cause.NO_CAPABILITY, text, call)
    wrong = next(_wrong(call), None)
    return None if wrong is None else _check(Cause.RUNTIME_CALL_FAILED, f"{call.title}: {wrong}", call)


def _wrong(call: Call) -> Iterator[str]:
    if call.field("returned") != "yes":
        yield f"the caller did not come back (state {call.field('state') or '?'})"
        return
    if call.number("errno") == _DIFFERENT:
        yield f"after {call.field('done')} round trips another value was read than was written"
    if call.number("errno"):
        yield f"errno {call.field('errno')} at {call.field('at')}, after {call.field('done')} round trips"
    wanted = call.command.fields.get("round_trips", "0")
    if call.command.name == "efivars" and call.field("done") != wanted:
        yield f"{call.field('done')} of {wanted} round trips were done"
    reached = call.delta("runtime_calls")
    if reached is not None and reached < max(1, int(wanted)):
        yield f"the driver's hook saw {reached} calls, {max(1, int(wanted))} were made"
    if reached != call.delta("returns"):
        yield "a call that the driver's hook saw did not come back from firmware"


def _still_there(call: Call) -> Check | None:
    if call.answer is None:
        return _check(Cause.MISSING_REPORT, f"the guest did not report on {call.title}", call)
    if call.field("runtime") == "absent":
        return None
    text = f"the kernel of epoch {call.epoch} offers runtime services, which a kexec in mixed mode should switch off"
    return _check(Cause.RUNTIME_CALL_FAILED, text, call)


def _counts(found: list[Call]) -> Iterator[Evidence]:
    """What the hooks saw by the end."""
    last = next((call for call in reversed(found) if isinstance(call.after, Logbook)), None)
    if last is None or last.sample is None or not isinstance(last.after, Logbook):
        return
    for service, log in last.after.services.items():
        if log.hooked:
            text = f"{service}: {log.runtime_calls} calls after boot services, {log.returns} of {log.calls} returned"
            yield Evidence(text=f"{text}, {log.faults} faults", where=last.sample.file)


def check_firmware_bits(observations: Observations, bits: int) -> Check:
    """The kernel and the driver agree on the word size of the firmware."""
    name = "firmware_bits"
    found = [call for call in calls(observations) if call.field("platform_size")]
    books = [call.after for call in found if isinstance(call.after, Logbook)]
    if not found or not books:
        return missing(
            name,
            "neither kernel nor driver reported the firmware's word size",
            hint="The scenario needs a runtime, efivars or reboot step.",
        )
    kernel, driver = found[0].number("platform_size"), 8 * books[0].pointer_bytes
    right = kernel == driver == bits
    return judged(
        name,
        None if right else Cause.SETUP_NOT_PROVED,
        f"firmware of {bits} bits: fw_platform_size {kernel}, pointers of the runtime driver {driver} bits",
        epoch=None if right else found[0].epoch,
        hint="" if right else "Which firmware was started? See plan.json.",
    )


def _check(cause: Cause | None, summary: str, call: Call | None = None, evidence: tuple[Evidence, ...] = ()) -> Check:
    said = () if call is None else tuple(line for line in call.said if line.text.strip())[-3:]
    cited = tuple(Evidence(text=line.text.strip()[:200], where=call.where(line.number)) for line in said if call)
    return judged(
        _NAME,
        cause,
        summary if call is None else f"{summary} (epoch {call.epoch})",
        epoch=None if call is None else call.epoch,
        evidence=(*evidence, *cited),
        hint="" if cause is None else _HINTS[cause.status],
    )


_HINTS = {
    Status.FAIL: "Look at the frame of this call in journal.jsonl, and at the kernel's messages.",
    Status.ERROR: "See the check of the run's end.",
    Status.UNSUPPORTED: "Leave out efi=noruntime and noefi; use a kernel with efivarfs, and EFI_TEST for get-time.",
}
