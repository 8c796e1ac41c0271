"""What the kernel makes of firmware that misbehaves in a runtime service (docs/runtime-faults.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.evidence import efistatus
from harness.evidence.defect import Defect
from harness.evidence.logbook import Logbook
from harness.model.causes import Cause, Status
from harness.model.record import EndKind
from harness.model.verdict import Check
from harness.model.words.driver import Fault, Service, Trap
from harness.model.words.runtime import Containment
from harness.record.observations import Observations
from harness.subjects.common import judged, missing, passed
from harness.subjects.runtime.calls import EINTR, EINVAL, EIO, Call, calls
from harness.subjects.runtime.words import CAUSED, EXCEPTIONS, FLAGS, FROZE, RIP, THROUGH_BIOS, WEDGED, proof
from harness.subjects.vitals.crash import title

_EFI_ABORTED, _EFI_DEVICE_ERROR = 2**63 + 21, 2**63 + 7


@dataclass(frozen=True)
class Wrong:
    """Why a fault is not what it should have come to."""

    call: Call
    cause: Cause
    text: str


def check_runtime_fault(observations: Observations, level: Containment) -> Check:
    """Every fault, and every later call of the same kernel."""
    name = "runtime_fault"
    found = calls(observations)
    faulty = [call for call in found if call.fault is not None]
    judged = [call for call in faulty if call.answer is not None or call is found[-1]]
    wrong = next(_wrong(observations, found, level), None)
    if wrong is not None:
        return _failed(name, wrong)
    if not faulty or len(judged) < len(faulty):
        return missing(
            name, "the run ended before a fault of the scenario was committed", hint="See the check of the run's end."
        )
    kinds = ", ".join(dict.fromkeys(f"{call.fault} in {call.service}" for call in faulty))
    refused = [
        call for call in _later(found) if call.field("errno") not in ("", "0") and not call.delta("runtime_calls")
    ]
    after = f"; {len(refused)} later call{'s' if len(refused) > 1 else ''} refused without firmware" if refused else ""
    return passed(name, f"{level}: {kinds}{after}", evidence=tuple(item for call in faulty for item in proof(call)))


def _wrong(observations: Observations, found: tuple[Call, ...], level: Containment) -> Iterator[Wrong]:
    """All that is wrong, in order of time."""
    later = tuple(_later(found))
    off_in = 0  # the epoch whose kernel has switched runtime services off
    for call in found:
        if call.fault is None:
            if level is Containment.CONTAINED and call in later:
                yield from _not_refused(call) if call.epoch == off_in else _not_working(call)
            continue
        unproved = _unproved(observations, call, off=call.epoch == off_in)
        if unproved is not None:
            yield unproved
            continue
        yield from _died(observations, call, level)
        yield from _silent(call)
        if level is Containment.CONTAINED:
            yield from _CONTAINED[_kind(call)](observations, call)
            off_in = call.epoch if call.fault.trap is Trap.PAGE_FAULT or call.fault is Fault.LOOP else off_in
        else:
            yield from _misnamed(call)


def _unproved(observations: Observations, call: Call, *, off: bool) -> Wrong | None:
    """Why nothing shows that the fault was committed at all."""
    kernel = observations.plan.epochs[call.epoch - 1].kernel.name
    if call.field("runtime") == "absent":
        text = f"{kernel} offers no EFI variables in epoch {call.epoch}, so firmware cannot be told to misbehave"
        return Wrong(call, Cause.NO_CAPABILITY, text)
    if call.field("efi_test") == "absent":
        text = f"{kernel} has no /dev/efi_test (CONFIG_EFI_TEST); no x86 kernel calls GetTime without it"
        return Wrong(call, Cause.NO_CAPABILITY, text)
    why = next(_not_committed(call, off=off), None)
    return None if why is None else Wrong(call, Cause.SETUP_NOT_PROVED, f"{call.title}: {why}")


def _not_committed(call: Call, *, off: bool) -> Iterator[str]:
    if off:
        yield "this kernel has switched runtime services off already, so firmware never got to it"
    if call.field("arm_errno") not in ("", "0") or call.field("arm_returned") not in ("", "yes"):
        yield f"the driver did not take it (errno {call.field('arm_errno')})"
    if call.service is Service.RESET_SYSTEM and _named_target(call):
        return  # firmware that ran again has overwritten the logbook
    if call.pages is None:
        why = next((str(book) for book in (call.before, call.after) if isinstance(book, Defect)), "it was not read")
        yield f"the driver's logbook: {why}"
    if not call.delta("faults") or call.log is None or call.log.last_fault is not call.fault:
        yield "the driver's logbook shows no such fault, so firmware never committed it"


def _named_target(call: Call) -> bool:
    """Does the kernel name the address that the fault was to touch?"""
    caused = call.says(CAUSED)
    target = call.fault.target if call.fault is not None else None
    if caused is None or target is None or not isinstance(call.before, Logbook):
        return False
    return int(caused["address"], 16) == call.before.targets_used[target]


def _died(observations: Observations, call: Call, level: Containment) -> Iterator[Wrong]:
    """The kernel did not survive it, or the call did not come back."""
    end = observations.record.end
    panic = any(item.severity == "panic" for item in call.crashes) or (end is not None and end.kind is EndKind.PANIC)
    reset = call.service is Service.RESET_SYSTEM
    if panic or (call.crashes and level is Containment.CONTAINED):
        what = title(call.crashes) if call.crashes else "panic"
        yield Wrong(call, Cause.RUNTIME_FAULT_FATAL, f"{call.title} is fatal: {what}")
    elif reset:
        return  # whether the machine was reset is asked further down
    elif call.answer is None:
        gone = call.crashes or end is None or end.kind is not EndKind.TIMEOUT
        cause = Cause.RUNTIME_FAULT_FATAL if gone else Cause.RUNTIME_FAULT_HANG
        after = f" after {', '.join(dict.fromkeys(item.title for item in call.crashes))}" if call.crashes else ""
        text = f"{call.title}: the machine did not come back{after} ({end.detail if end else 'no end'})"
        yield Wrong(call, cause, text)
    elif call.field("returned") == "killed" and level is Containment.CONTAINED:
        yield Wrong(call, Cause.RUNTIME_FAULT_FATAL, f"{call.title}: the task that called was killed")
    elif call.field("returned") == "no" and level is Containment.CONTAINED:
        waited, state = call.command.fields.get("wait_s", "?"), call.field("state")
        text = f"{call.title}: the caller still waits after {waited} s (state {state}) while the machine goes on"
        yield Wrong(call, Cause.RUNTIME_FAULT_HANG, text)


def _silent(call: Call) -> Iterator[Wrong]:
    if call.fault is not None and call.fault.trap is not Trap.NONE and call.delta("survived") and call.log is not None:
        text = (
            f"{call.title}: the kernel let firmware at {call.log.fault_address:#x} and noticed nothing; the call "
            f"returned errno {call.field('errno') or '?'}"
        )
        yield Wrong(call, Cause.RUNTIME_FAULT_SILENT, text)


def _kind(call: Call) -> str:
    if call.service is Service.RESET_SYSTEM:
        return "reset"
    if call.fault in (Fault.LOOP, Fault.INTERRUPTS_OFF):
        return call.fault.value
    return "page-fault" if call.fault is not None and call.fault.trap is Trap.PAGE_FAULT else "uncovered"


def _page_fault(_observations: Observations, call: Call) -> Iterator[Wrong]:
    """efi_crash_gracefully_on_page_fault(): said, with the right address; services off; an error for the caller."""
    caused, touched = call.says(CAUSED), call.log.fault_address if call.log is not None else 0
    if caused is None:
        yield Wrong(
            call, Cause.RUNTIME_FAULT_MISREPORTED, f"{call.title}: the kernel does not name firmware's page fault"
        )
    elif int(caused["address"], 16) != touched:
        text = f"{call.title}: the kernel reports {caused['address']}, firmware touched {touched:#x}"
        yield Wrong(call, Cause.RUNTIME_FAULT_MISREPORTED, text)
    if call.says(FROZE) is None:
        text = f"{call.title}: the kernel did not say that it disabled EFI runtime services"
        yield Wrong(call, Cause.RUNTIME_NOT_DISABLED, text)
    yield from _no_error(call)


def _no_error(call: Call) -> Iterator[Wrong]:
    """The faulting call gets EFI_ABORTED, which efi_status_to_err() makes EINTR; EIO is as good."""
    if call.service is Service.GET_TIME:
        good = call.number("errno") == EINVAL and call.number("status") in (_EFI_ABORTED, _EFI_DEVICE_ERROR)
    else:
        good = call.number("errno") in (EINTR, EIO)
    if not good:
        status = efistatus.with_name(call.field("status"))
        text = f"{call.title}: the call came back with errno {call.field('errno')}, status {status}"
        yield Wrong(call, Cause.RUNTIME_FAULT_MISREPORTED, f"{text}: no error that says what happened")


def _loop(_observations: Observations, call: Call) -> Iterator[Wrong]:
    if call.says(WEDGED) is None:
        text = f"{call.title}: the call came back, but the kernel did not say why"
        yield Wrong(call, Cause.RUNTIME_FAULT_MISREPORTED, text)
    yield from _no_error(call)


def _interrupts(_observations: Observations, call: Call) -> Iterator[Wrong]:
    """efi_call_virt_check_flags() says it and repairs it; the call itself went well."""
    if call.says(FLAGS) is None:
        text = f"{call.title}: the kernel did not notice that firmware left interrupts off"
        yield Wrong(call, Cause.RUNTIME_FAULT_SILENT, text)
    elif call.number("errno") != 0:
        text = (
            f"{call.title}: the call came back with errno {call.field('errno')}, though firmware did what it was asked"
        )
        yield Wrong(call, Cause.RUNTIME_FAULT_MISREPORTED, text)


def _reset(observations: Observations, call: Call) -> Iterator[Wrong]:
    """ "efi_reset_system() buggy! Reboot through BIOS", and the machine is reset."""
    end = observations.record.end
    if end is None or end.kind is not EndKind.COMPLETE:
        text = f"{call.title}: the machine was not reset ({end.detail if end is not None else 'no end'})"
        yield Wrong(call, Cause.RUNTIME_FAULT_HANG, text)
    elif call.says(THROUGH_BIOS) is None:
        text = f"{call.title}: the machine was reset, but the kernel did not name firmware's fault"
        yield Wrong(call, Cause.RUNTIME_FAULT_MISREPORTED, text)


def _uncovered(_observations: Observations, call: Call) -> Iterator[Wrong]:
    """No kernel contains these so far; one that does leaves no oops, and the caller an error."""
    yield from _no_error(call)


_CONTAINED: dict[str, Callable[[Observations, Call], Iterator[Wrong]]] = {
    "page-fault": _page_fault,
    "loop": _loop,
    "interrupts-off": _interrupts,
    "reset": _reset,
    "uncovered": _uncovered,
}


def _misnamed(call: Call) -> Iterator[Wrong]:
    """An oops that is survived must name the exception, and firmware's code as the place."""
    expected = EXCEPTIONS.get(call.fault.trap) if call.fault is not None else None
    if expected is None or call.field("errno") in (str(EINTR), str(EIO)):
        return  # the second: contained, which is more than was asked for
    if call.says(expected) is None:
        text = f"{call.title}: the kernel did not report this exception"
        yield Wrong(call, Cause.RUNTIME_FAULT_MISREPORTED, text)
    elif not any(_in_driver(call, int(match["address"], 16)) for match in _matches(call, RIP)):
        text = f"{call.title}: the kernel's report does not name firmware's code as the place"
        yield Wrong(call, Cause.RUNTIME_FAULT_MISREPORTED, text)


def _matches(call: Call, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    return (match for line in call.said if (match := pattern.search(line.text)))


def _in_driver(call: Call, address: int) -> bool:
    image = call.pages[1].image if call.pages is not None else None
    return image is not None and image.used <= address < image.used + image.size_bytes


def _not_refused(call: Call) -> Iterator[Wrong]:
    """A call after services were switched off: fails at once with EIO, without firmware."""
    if call.answer is None or call.command.name == "reboot" or call.field("runtime") == "absent":
        return
    if call.field("returned") != "yes":
        text = f"{call.title} after the fault: the caller waits (state {call.field('state') or '?'})"
        yield Wrong(call, Cause.RUNTIME_NOT_DISABLED, text)
    elif call.delta("runtime_calls") != 0:
        yield Wrong(call, Cause.RUNTIME_NOT_DISABLED, f"{call.title} after the fault: the kernel called firmware again")
    elif call.service is not Service.GET_TIME and call.number("errno") != EIO:
        text = f"{call.title} after the fault: errno {call.field('errno')}, not EIO"
        yield Wrong(call, Cause.RUNTIME_NOT_DISABLED, text)


def _not_working(call: Call) -> Iterator[Wrong]:
    """A call after a fault that leaves services on."""
    if call.answer is not None and call.command.name != "reboot" and call.field("errno") != "0":
        text = f"{call.title} after the fault: errno {call.field('errno') or '?'}, though services are to stay on"
        yield Wrong(call, Cause.RUNTIME_CALL_FAILED, text)


def _later(found: tuple[Call, ...]) -> Iterator[Call]:
    """Calls without a fault, after one with."""
    for place, call in enumerate(found):
        if call.fault is None and any(other.fault is not None and other.epoch == call.epoch for other in found[:place]):
            yield call


def _failed(name: str, wrong: Wrong) -> Check:
    call = wrong.call
    return judged(
        name,
        wrong.cause,
        f"{wrong.text} (epoch {call.epoch})",
        epoch=call.epoch,
        evidence=tuple(proof(call)),
        hint=_HINTS.get(
            wrong.cause.status,
            f"Read the kernel's messages in {call.said_in}; docs/runtime-faults.md says which kernels handle what.",
        ),
    )


_HINTS = {
    Status.UNSUPPORTED: "Leave out efi=noruntime and noefi; for get-time use a kernel with CONFIG_EFI_TEST (tiny-6.1).",
    Status.ERROR: "Look at the called frames and the logbook samples in journal.jsonl.",
}
