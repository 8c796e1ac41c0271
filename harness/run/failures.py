"""What ends a wait badly, whatever is waited for."""

from __future__ import annotations

from collections.abc import Callable

from harness.machine.feed import Event, Failure, Happening, Match
from harness.machine.frame import Frame
from harness.model.record import EndKind

PANIC = "panic"
PATTERNS = {PANIC: r"Kernel panic - not syncing[^\r\n]*"}

# A panic prints its call trace after its first line; the dump is worth waiting for.
_PANIC_GRACE_S = 1.5
# A STOP that nobody asked for follows the event that explains it; without one QEMU itself failed.
_STOP_GRACE_S = 0.5

_SHUTDOWN = {
    "guest-reset": (EndKind.RESET, "the machine was reset"),
    "guest-shutdown": (EndKind.POWEROFF, "the guest switched the machine off"),
    "guest-panic": (EndKind.PANIC, "the guest panicked"),
    "subsystem-reset": (EndKind.RESET, "the machine was reset"),
}

Predicate = Callable[[Happening], Failure | None]
"""Does this end a wait badly? (``Feed.wait``)"""


def failures(epoch: Callable[[], int]) -> Predicate:
    """A failure predicate for ``Feed.wait``; ``epoch`` says which epoch the run is in."""

    def failure(happening: Happening) -> Failure | None:
        match happening.data:
            case Frame() as frame:
                return _frame(frame, epoch(), happening)
            case Match(name=name, text=text) if name == PANIC:
                return Failure(EndKind.PANIC, text, happening, grace_s=_PANIC_GRACE_S)
            case Event() as event:
                return _event(event, happening)
        return None

    return failure


def _frame(frame: Frame, epoch: int, happening: Happening) -> Failure | None:
    if frame.kind == "error":
        what, status = frame.fields.get("what", "?"), frame.fields.get("status") or frame.fields.get("rc") or "?"
        who = "the EFI agent" if epoch == 0 else "the guest agent"
        return Failure(EndKind.GUEST_ERROR, f"{who} reports: {what} (status {status})", happening)
    if frame.kind == "ready" and epoch > 0:
        detail = "firmware is running again: the EFI agent reported READY after a kernel had been started"
        return Failure(EndKind.BACK_IN_FIRMWARE, detail, happening)
    return None


def _event(event: Event, happening: Happening) -> Failure | None:
    if event.name == "GUEST_PANICKED":
        return Failure(EndKind.PANIC, "the guest panicked (pvpanic)", happening, grace_s=_PANIC_GRACE_S)
    if event.name == "SHUTDOWN":
        reason = str(event.data.get("reason", ""))
        kind, text = _SHUTDOWN.get(reason, (EndKind.HOST, "QEMU was told to shut down"))
        return Failure(kind, f"{text} (QMP SHUTDOWN, {reason})", happening)
    if event.name == "STOP" and not event.asked:
        detail = "QEMU stopped the machine without being asked"
        return Failure(EndKind.HOST, detail, happening, grace_s=_STOP_GRACE_S)
    return None
