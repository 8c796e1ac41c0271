"""The reason of an end, out of the words in which agents and consoles tell it: the one place that reads them."""

from __future__ import annotations

from harness.model.record import EndKind, EndReason, RunEnd

_WORDS = (
    # xen/drivers/char/console.c, panic(); xen/common/shutdown.c, hwdom_shutdown(); quoted by stage/failures.py
    (EndKind.PANIC, "Xen: Panic", EndReason.XEN_PANIC),
    (EndKind.PANIC, "Xen: ", EndReason.DOM0_DIED),
    # harness/guest/files/commands.sh
    (EndKind.GUEST_ERROR, "kexec -e came back", EndReason.KEXEC_RETURNED),
    (EndKind.GUEST_ERROR, "load: no disk with serial", EndReason.NO_DISK),
    (EndKind.GUEST_ERROR, "no /proc/vmcore", EndReason.NO_VMCORE),
    # harness/firmware/agent/boot.c
    (EndKind.GUEST_ERROR, "no entry point for this firmware", EndReason.NO_ENTRY_POINT),
    # kexec-tools, purgatory/purgatory.c
    (EndKind.HALTED, "sha256 digests do not match", EndReason.OTHER_DIGESTS),
)


def reason_of(kind: EndKind, detail: str) -> EndReason | None:
    """The reason of an end that is told in these words; None where its kind says all."""
    return next((reason for its, words, reason in _WORDS if its is kind and words in detail), None)


def end_reason(end: RunEnd) -> EndReason | None:
    """The reason of a recorded end, also of one from before it was recorded."""
    return end.reason or reason_of(end.kind, end.detail)
