"""What ends a wait badly, whatever is waited for."""

from __future__ import annotations

import re
from collections.abc import Callable

from harness.evidence import efistatus
from harness.machine.feed import Failure
from harness.machine.frame import Frame
from harness.machine.happenings import Closed, Event, Happening, HelperExited, Line, Match, Source, ended_how
from harness.model.record import EndKind, Phase
from harness.record.phases import PANIC, State

HALT = "halt"
PATTERNS = {
    PANIC: r"Kernel panic - not syncing[^\r\n]*",
    # arch/x86/boot/compressed/misc.c (error.c since 6.7), error(): it prints this, without a newline, and loops.
    HALT: r"-- System halted",
}
"""Decisive words that may stand on a line without an end; whole lines are looked at as such."""

# A panic prints its call trace after its first line; the dump is worth waiting for. One of the two events that end it
# nearly always comes first: the last line of panic(), or the pvpanic device.
_PANIC_GRACE_S = 1.5
# With GUEST_PANICKED the guest stands still, and all it printed is in the socket: what is left is to read it there.
_PVPANIC_GRACE_S = 0.05
# A STOP that nobody asked for follows the event that explains it; without one QEMU itself failed.
_STOP_GRACE_S = 0.5
# Ports are closed, and helpers end, just before QEMU is gone.
_PORT_GRACE_S = 0.5

_PANIC_ENDS = "---[ end Kernel panic - not syncing"
"""kernel/panic.c, the last thing panic() prints, on 5.10 to 7.3."""
_HALTS = re.compile(
    r"sha256 digests do not match :\("  # kexec-tools, purgatory/purgatory.c, with --console-serial: then it loops
    r"|!!!! \w+ Exception Type - "  # EDK2, UefiCpuPkg/Library/CpuExceptionHandlerLib: CpuDeadLoop() follows its dump
)
_HALT_GRACE_S = 0.3
_XEN_DIED = re.compile(
    r"^\(XEN\) (?:\[[^\]]*\] )?(?P<what>Panic on CPU \d+:|Hardware Dom\d+ (?:crashed|halted|shutdown).*)"
)
"""xen/drivers/char/console.c, panic(), its message on the lines behind; xen/common/shutdown.c, hwdom_shutdown()."""

_SHUTDOWN = {
    "guest-reset": (EndKind.RESET, "the machine was reset"),
    "guest-shutdown": (EndKind.POWEROFF, "the guest switched the machine off"),
    "guest-panic": (EndKind.PANIC, "the guest panicked"),
    "subsystem-reset": (EndKind.RESET, "the machine was reset"),
}

Predicate = Callable[[Happening], Failure | None]
"""Does this end a wait badly? (``Feed.wait``)"""


def failure(before: State, after: State, happening: Happening) -> Failure | None:
    """Does this happening end a wait badly? ``before`` and ``after`` are the states around it."""
    match happening.data:
        case Frame() as frame:
            return _frame(before, after, frame, happening)
        case Match(name=name, text=text) if name == PANIC and after.panic:
            return Failure(EndKind.PANIC, text, happening, grace_s=_PANIC_GRACE_S)
        case Match(name=name, text=text) if name == HALT:
            return Failure(EndKind.HALTED, text, happening, grace_s=_HALT_GRACE_S)
        case Line(text=text):
            return _line(before, after, text, happening)
        case Event() as event:
            return _event(after, event, happening)
    return _lost(happening)


def _lost(happening: Happening) -> Failure | None:
    """Something of the machine has ended, unless QEMU's own end follows."""
    match happening.data:
        case Closed() if happening.source in (Source.LINK, Source.CONSOLE):
            detail = f"the {happening.source} was closed while QEMU lived"
            return Failure(EndKind.PORT_LOST, detail, happening, grace_s=_PORT_GRACE_S)
        case HelperExited(program=program, status=status):
            detail = f"{program} ended {ended_how(status)} while QEMU lived"
            return Failure(EndKind.HOST, detail, happening, grace_s=_PORT_GRACE_S)
    return None


def _frame(before: State, after: State, frame: Frame, happening: Happening) -> Failure | None:
    if frame.kind == "error":
        what, status = frame.fields.get("what", "?"), frame.fields.get("status") or frame.fields.get("rc") or "?"
        if after.epoch == 0 or after.phase is Phase.STUB:
            detail = f"the EFI agent reports: {what} (status {efistatus.with_name(status)})"
        else:
            detail = f"the guest agent reports: {what} (status {status})"
        return Failure(EndKind.GUEST_ERROR, detail, happening)
    if frame.kind == "ready" and before.epoch > 0:
        detail = "firmware is running again: the EFI agent reported READY after a kernel had been started"
        return Failure(EndKind.BACK_IN_FIRMWARE, detail, happening)
    return None


def _line(before: State, after: State, text: str, happening: Happening) -> Failure | None:
    if after.again and not before.again:
        detail = f"a kernel began again in epoch {after.epoch}, without a kexec: {after.again}"
        return Failure(EndKind.BOOT_LOOP, detail, happening)
    if after.panic and _PANIC_ENDS in text:
        return Failure(EndKind.PANIC, after.panic, happening)
    died = _XEN_DIED.match(text)
    if died is not None:
        return Failure(EndKind.PANIC, f"Xen: {died['what']}", happening, grace_s=_PANIC_GRACE_S)
    if _HALTS.search(text):
        return Failure(EndKind.HALTED, text[:200], happening, grace_s=_HALT_GRACE_S)
    return None


def _event(state: State, event: Event, happening: Happening) -> Failure | None:
    if event.name == "GUEST_PANICKED":
        detail = state.panic or "the guest panicked (pvpanic)"
        return Failure(EndKind.PANIC, detail, happening, grace_s=_PVPANIC_GRACE_S)
    if event.name == "SHUTDOWN":
        reason = str(event.data.get("reason", ""))
        kind, text = _SHUTDOWN.get(reason, (EndKind.HOST, "QEMU was told to shut down"))
        return Failure(kind, f"{text} (QMP SHUTDOWN, {reason})", happening)
    if event.name == "STOP" and not event.asked:
        detail = "QEMU stopped the machine without being asked"
        return Failure(EndKind.HOST, detail, happening, grace_s=_STOP_GRACE_S)
    return None
