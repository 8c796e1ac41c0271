"""What a crash is, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    PANIC = "panic"
    """The machine stops here."""
    OOPS = "oops"
    """The kernel broke, or its memory is damaged; it may go on."""
    WARNING = "warning"
    """Something is wrong and said so: WARNING, lockups, stalls, lockdep."""


class Kind(StrEnum):
    """What sort of crash; coarser than the title, so that a report can be filtered by it."""

    FIRMWARE = "firmware"
    STUB = "stub"
    PURGATORY = "purgatory"
    KEXEC = "kexec"
    XEN = "xen"
    KASAN = "kasan"
    KMSAN = "kmsan"
    KCSAN = "kcsan"
    KFENCE = "kfence"
    UBSAN = "ubsan"
    LEAK = "leak"
    FAULT = "fault"
    """Page faults, protection faults and the other exceptions of the processor."""
    DOUBLE_FAULT = "double-fault"
    BUG = "bug"
    """kernel BUG at, and other BUG lines."""
    LIST = "list"
    MEMORY = "memory"
    """Bad page state, slab corruption, page allocation failure."""
    LOCKDEP = "lockdep"
    LOCKING = "locking"
    """Spinlock debugging and its like."""
    ATOMIC = "atomic"
    """Sleeping or scheduling where that is forbidden."""
    RCU = "rcu"
    WARNING = "warning"
    HANG = "hang"
    """Lockups, stalls, hung tasks, references that are never dropped."""
    PANIC = "panic"
    TOOL = "tool"
    """A test program inside the guest gave up."""


@dataclass(frozen=True)
class Crash:
    """One line that says that something broke, with the title that its report gives it."""

    title: str
    """Without addresses and pids, in the words of syzkaller, so that two runs compare equal."""
    severity: Severity
    line_number: int
    text: str
    """The line, as printed."""
    kind: Kind = Kind.BUG
    offset: int = 0
    """Byte offset of the line in its log."""
    frame: str = ""
    """The function that is to blame, or empty."""


@dataclass(frozen=True)
class Report:
    """The first crash of a log, with everything that belongs to it."""

    title: str
    kind: Kind
    severity: Severity
    """The worst of the report: an oops that ends in a panic is a panic."""
    start: int
    """Byte offset of the report's first line."""
    end: int
    """Byte offset after its last line: half-open."""
    frame: str | None
    """The function that is to blame; None where the report names none."""
    frames: tuple[str, ...]
    """The backtrace without the frames that every report has, innermost first."""
    corrupted: str | None
    """Why the report cannot be trusted (interleaved, cut off), or None."""
    signature: str
    """The same for the same kind of crash on the same path: for grouping."""
