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
    REBOOT = "reboot"
    """A kernel begins where another one had not ended."""
    TOOL = "tool"
    """A test program inside the guest gave up."""


@dataclass(frozen=True)
class Frame:
    """One line of a backtrace, or where the processor was."""

    function: str
    """As printed, with what the compiler put behind it; empty where the log has a bare address and no symbols came."""
    offset: int | None = None
    """Bytes into the function; None where the log does not say."""
    size_bytes: int | None = None
    module: str = ""
    address: int | None = None
    """Where the log has an address instead of a name."""
    certain: bool = True
    """False: the kernel doubts it (``?``); something that looks like a return address lay on the stack."""

    @property
    def text(self) -> str:
        """``virt_efi_set_variable+0x1c/0x90 [module]``, as far as it is known; ``? `` in front when it is doubtful."""
        return ("" if self.certain else "? ") + self._place

    @property
    def _place(self) -> str:
        if self.address is not None:
            return f"{self.function} {self.address:#x}".strip()
        offset = "" if self.offset is None else f"+{self.offset:#x}"
        size = "" if self.size_bytes is None else f"/{self.size_bytes:#x}"
        return f"{self.function}{offset}{size}" + (f" [{self.module}]" if self.module else "")


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
    backtrace: tuple[Frame, ...] = ()
    """Of its report, as in :class:`Report`."""


@dataclass(frozen=True)
class Report:
    """A crash in a log, with everything that belongs to it."""

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
    line: int
    """The number of the report's first line, from 1."""
    epoch: int
    """How many kernels had begun before it in this log, counted by their banners: 0 is firmware, or a log that begins
    in the middle."""
    backtrace: tuple[Frame, ...] = ()
    """Where the processor was, and its callers, innermost first, up to user space. What the kernel doubts (``?``)
    is in it only where there is nothing else. Empty where the report has none."""
