"""Why a check is not a PASS: one row a cause, with all that is known of it.

The names are stable: known-issues.yaml, JUnit and CI rules match on them. Of several FAILs the first one here speaks
for the run: damage explains a crash, a crash explains a silence. To add one: a row, and its subject's ``causes``.
"""

from __future__ import annotations

from enum import Enum, StrEnum, auto


class Status(StrEnum):
    PASS = "PASS"
    """Every expectation held, each with its evidence, and every knob is proved to have taken effect."""
    FAIL = "FAIL"
    """The kernel or firmware under test is at fault."""
    UNSUPPORTED = "UNSUPPORTED"
    """It cannot be tested here; the reason and the way out are given."""
    ERROR = "ERROR"
    """Harness, QEMU or host failed, or the run proves nothing. The default."""


class Accuses(Enum):
    """When a check with this cause may speak for the run."""

    ALWAYS = auto()
    AS_PLANNED = auto()
    """Where the tables were set up as planned (memory of another type is rightly used again), by the kernel that was
    planned with its command line."""
    UNLESS_ENDED = auto()
    """What a run that ended early did not report is explained by its end."""


class Mark(Enum):
    """What a cause says about other checks, or other tries."""

    STRANGER = auto()
    """From its epoch on another kernel runs than planned, or otherwise: AS_PLANNED causes accuse nobody there."""
    INFRA = auto()
    """The host's fault: before a kernel has started it is worth another try."""


FAIL, UNSUPPORTED, ERROR = Status.FAIL, Status.UNSUPPORTED, Status.ERROR
ALWAYS, AS_PLANNED, UNLESS_ENDED = Accuses.ALWAYS, Accuses.AS_PLANNED, Accuses.UNLESS_ENDED
STRANGER, INFRA = Mark.STRANGER, Mark.INFRA


class Cause(StrEnum):
    """A row: its name, the status of a check that has it, what it means, when it may speak for the run, the causes of
    other checks that only say again what this one does, and its mark.
    """

    status: Status
    means: str
    accuses: Accuses
    mark: Mark | None
    brings: tuple[str, ...]

    def __new__(  # noqa: PLR0917  a row
        cls,
        name: str,
        status: Status,
        means: str,
        accuses: Accuses = ALWAYS,
        brings: tuple[str, ...] = (),
        mark: Mark | None = None,
    ) -> Cause:
        """One row."""
        row = str.__new__(cls, name)
        row._value_ = name
        row.status, row.means, row.accuses, row.brings, row.mark = status, means, accuses, brings, mark
        return row

    @property
    def family(self) -> frozenset[Cause]:
        """This cause, and those of other checks that only say again what it does."""
        return frozenset({self, *map(type(self), self.brings)})

    @property
    def rank(self) -> int:
        """Among FAILs, how much it says: 0 says most. All others rank behind, alike."""
        return _RANKS[self]

    # What was damaged.
    ESRT_CORRUPT = ("esrt-corrupt", FAIL, "The bytes of the ESRT are not what firmware handed over.", AS_PLANNED)
    BGRT_CORRUPT = ("bgrt-corrupt", FAIL, "The image of the BGRT is not what firmware handed over.", AS_PLANNED)
    MEMATTR_CORRUPT = (
        "memattr-corrupt",
        FAIL,
        "The bytes of the Memory Attributes Table are not what firmware handed over.",
        AS_PLANNED,
    )
    RTPROP_CORRUPT = (
        "rtprop-corrupt",
        FAIL,
        "The bytes of the Runtime Properties Table are not what firmware handed over.",
        AS_PLANNED,
    )
    MOKVAR_CORRUPT = (
        "mokvar-corrupt",
        FAIL,
        "The bytes of the MOK variable table are not what shim would have handed over.",
        AS_PLANNED,
    )
    UNACCEPTED_CORRUPT = (
        "unaccepted-corrupt",
        FAIL,
        "The bytes of the unaccepted memory table are not what was handed over.",
        AS_PLANNED,
        ("stub-failed", "panic"),
    )
    INITRD_CORRUPT = (
        "initrd-corrupt",
        FAIL,
        "The bytes of the INITRD table are not what the EFI stub wrote.",
        AS_PLANNED,
    )
    TPM_LOG_CORRUPT = (
        "tpm-log-corrupt",
        FAIL,
        "The stub's copy of the TPM event log is not what it was in the first kernel.",
        AS_PLANNED,
    )
    TPM_FINAL_LOG_CORRUPT = (
        "tpm-final-log-corrupt",
        FAIL,
        "The TPM's final events table is not what it was in the first kernel.",
        AS_PLANNED,
    )
    PRIVATE_CORRUPT = (
        "private-corrupt",
        FAIL,
        "The bytes of a table with a private GUID are not what was handed over.",
        AS_PLANNED,
    )
    CANARY_DAMAGED = (
        "canary-damaged",
        FAIL,
        "The table is intact, and the canary words in its pages are not.",
        AS_PLANNED,
    )
    STALE_INITRD = (
        "stale-initrd",
        FAIL,
        "A kernel that was given no initrd took one, by a table of an earlier kernel's boot.",
        ALWAYS,
        ("panic",),
    )
    XEN_TABLE_UNPROTECTED = (
        "xen-table-unprotected",
        FAIL,
        "dom0 takes a table of firmware's out of memory that Xen does not keep.",
        AS_PLANNED,
        ("dom0-crashed", "panic", "oops", "hang"),
    )
    XEN_TABLE_LOST = (
        "xen-table-lost",
        FAIL,
        "Xen did not keep or move a table as it should, or its copy is not what firmware wrote.",
        AS_PLANNED,
    )
    XEN_RESERVE = (
        "xen-reserve",
        FAIL,
        "dom0 calls efi_mem_reserve(), which means nothing where the hypervisor owns the memory, and warns of it.",
    )
    # Memory maps.
    OCCUPIED_OVERWRITTEN = (
        "occupied-overwritten",
        FAIL,
        "Memory that firmware has occupied, with canaries of the agent in it, was written to.",
    )
    KERNEL_MISPLACED = (
        "kernel-misplaced",
        FAIL,
        "A kernel lies below the lowest place that is right, or over memory that was not free.",
    )
    FAKE_MEM_MISMATCH = (
        "fake-mem-mismatch",
        FAIL,
        "The kernel's EFI memory map is not what firmware's map and the efi_fake_mem= entries make.",
    )
    SOFT_RESERVED_MISMATCH = (
        "soft-reserved-mismatch",
        FAIL,
        "Soft Reserved in /proc/iomem is not what the kernel was given.",
    )
    SOFT_RESERVED_LOST = (
        "soft-reserved-lost",
        FAIL,
        "Soft Reserved memory of one kernel is something else in the kernel it kexec'ed.",
    )
    # Page tables.
    EFI_PAGE_GLOBAL = ("efi-page-global", FAIL, "A page of EFI's mappings is global.")
    EFI_PAGE_WX = (
        "efi-page-wx",
        FAIL,
        "A page of EFI's mappings is both writable and executable, although firmware said which need not be.",
    )
    EFI_STRESS = (
        "efi-stress",
        FAIL,
        "Beside calls of firmware a process saw other content in its pages, or such a call failed.",
    )
    # Runtime services.
    RUNTIME_FAULT_SILENT = (
        "runtime-fault-silent",
        FAIL,
        "The kernel let firmware touch memory that is not firmware's, or did not notice what it broke.",
    )
    RUNTIME_FAULT_FATAL = (
        "runtime-fault-fatal",
        FAIL,
        "The kernel died of a fault inside firmware that it should have contained, or lost the task that called.",
        ALWAYS,
        ("panic", "oops", "reset", "hang", "agent-lost", "reboot-failed"),
    )
    RUNTIME_FAULT_HANG = (
        "runtime-fault-hang",
        FAIL,
        "A call of firmware, or the machine, did not come back from a fault inside firmware.",
        ALWAYS,
        ("hang", "agent-lost", "reboot-failed"),
    )
    RUNTIME_FAULT_MISREPORTED = (
        "runtime-fault-misreported",
        FAIL,
        "The kernel contained a fault inside firmware, but reported another address, nothing, or another error.",
    )
    RUNTIME_NOT_DISABLED = (
        "runtime-not-disabled",
        FAIL,
        "After a fault inside firmware the kernel called it again, or let callers wait.",
    )
    RUNTIME_CALL_FAILED = (
        "runtime-call-failed",
        FAIL,
        "A call of firmware without any fault failed, or read back something else.",
    )
    NOT_ALIVE = (
        "not-alive",
        FAIL,
        "The kernel runs, but cannot fork, use memory or read from a disk, or has tasks that are stuck.",
    )
    REBOOT_FAILED = ("reboot-failed", FAIL, "The kernel was to reset the machine, and the machine was not reset.")
    KEXEC_ACCEPTED = ("kexec-accepted", FAIL, "A kernel was loaded by a call that the running kernel must refuse.")
    # Seams between kernels.
    ACPI_LOST = ("acpi-lost", FAIL, "A kernel does not find the ACPI tables of firmware, or not all processors.")
    E820_GROWS = ("e820-grows", FAIL, "The e820 table gets longer from kexec to kexec.")
    E820_CHANGED = (
        "e820-changed",
        FAIL,
        "The e820 table that a kexec'ed kernel is given describes other memory than firmware's, or sysfs another one.",
    )
    RUNTIME_MAP_CHANGED = (
        "runtime-map-changed",
        FAIL,
        "A kexec'ed kernel has other EFI runtime regions than the kernel before it.",
    )
    PAGING_LEVELS = ("paging-levels", FAIL, "A kernel runs on page tables of more or fewer levels than it was told.")
    BOOT_SERVICES_LOST = (
        "boot-services-lost",
        FAIL,
        "Boot services memory that nothing needs is not given back, or more of it than there was.",
    )
    # Of a kdump: whose dump, of what crash, how much of it, what is in it; then how it was made.
    VMCORE_FOREIGN = ("vmcore-foreign", FAIL, "It is the dump of another kernel or of another run.")
    WRONG_CRASH = ("wrong-crash", FAIL, "The kernel crashed of something else than what was injected.")
    CAPTURE_OUT_OF_MEMORY = ("capture-out-of-memory", FAIL, "The capture kernel had too little memory.")
    CRASH_REGION_LOST = (
        "crash-region-lost",
        FAIL,
        "The kernel has `crashkernel=` on its command line, and no `Crash kernel` in /proc/iomem.",
    )
    VMCORE_MISSING = ("vmcore-missing", FAIL, "There is no dump.")
    VMCORE_INCOMPLETE = ("vmcore-incomplete", FAIL, "The dump is cut short.")
    VMCORE_CORRUPT = ("vmcore-corrupt", FAIL, "The dump contradicts itself, or does not hold what memory held.")
    VMCORE_RANGES = ("vmcore-ranges", FAIL, "The dump is not of the memory that the crashed kernel had.")
    VMCORE_FILTER = ("vmcore-filter", FAIL, "The dump has not the pages that its filter level should leave.")
    CAPTURE_MISPLACED = (
        "capture-misplaced",
        FAIL,
        "The capture kernel uses memory outside of what was reserved for it.",
    )
    CPU_NOTES = ("cpu-notes", FAIL, "The registers of a CPU are missing.")
    BACKTRACE = ("backtrace", FAIL, "The stack of the task that crashed makes no sense.")
    MEMORY_CHANGED = (
        "memory-changed",
        FAIL,
        "Memory of the crashed kernel changed between its panic and the capture kernel, where nothing may write.",
    )
    CAPTURE_FAILED = (
        "capture-failed",
        FAIL,
        "The capture kernel did not come up, or did not come to the end of its work.",
    )
    # Which kernel runs, and what it made of an intact table.
    OLD_KERNEL = (
        "old-kernel",
        FAIL,
        "An epoch is the kernel of the epoch before, still or again.",
        ALWAYS,
        (),
        STRANGER,
    )
    WRONG_KERNEL = (
        "wrong-kernel",
        FAIL,
        "An epoch runs another kernel than the one that was loaded.",
        ALWAYS,
        (),
        STRANGER,
    )
    TABLE_REFUSED = (
        "table-refused",
        FAIL,
        "The bytes are intact, but the kernel does not show the table, or shows other values.",
        AS_PLANNED,
    )
    # How it ended.
    STUB_FAILED = ("stub-failed", FAIL, "EFI stub or decompressor gave up: nothing of the kernel itself ran.")
    PURGATORY_FAILED = ("purgatory-failed", FAIL, "Purgatory found other bytes than were loaded (SHA-256), and loops.")
    XEN_PANIC = ("xen-panic", FAIL, "Xen panicked.", ALWAYS, ("panic",))
    DOM0_CRASHED = ("dom0-crashed", FAIL, "dom0 died, and Xen says so.", ALWAYS, ("panic", "oops"))
    PANIC = ("panic", FAIL, "A kernel panicked.", ALWAYS, ("oops",))
    OOPS = ("oops", FAIL, "A kernel reported a crash and went on.", ALWAYS, ("panic",))
    PAGE_ALLOCATION_FAILED = (
        "page-allocation-failed",
        FAIL,
        "A kernel found no memory for one of its own first allocations.",
    )
    SILENT_PANIC = ("silent-panic", FAIL, "The guest says that it panicked, and the console does not show one.")
    RESET = ("reset", FAIL, "The machine was reset.", ALWAYS, (), STRANGER)
    SILENT_RESET = ("silent-reset", FAIL, "A reset before the kernel of this epoch had printed anything.")
    TRIPLE_FAULT = (
        "triple-fault",
        FAIL,
        "A reset by the processor itself: an exception while it delivered a double fault.",
    )
    POWEROFF = ("poweroff", FAIL, "The guest switched the machine off before its time.")
    HANG = ("hang", FAIL, "Nothing comes any more, and a kernel was running.")
    BOOT_LOOP = ("boot-loop", FAIL, "A kernel began again, without a kexec that was asked for.", ALWAYS, (), STRANGER)
    KEXEC_RETURNED = ("kexec-returned", FAIL, "The jump into the next kernel came back.")
    BACK_IN_FIRMWARE = ("back-in-firmware", FAIL, "Firmware runs again, in the place of the next kernel.")
    KEXEC_LOAD_FAILED = ("kexec-load-failed", FAIL, "The running kernel refused to load the next one.")
    # known-issues.yaml
    KNOWN_ISSUE_GONE = (
        "known-issue-gone",
        FAIL,
        "A bug listed in known-issues.yaml did not show: the entry must go, or the run no longer finds it.",
    )
    # UNSUPPORTED
    NO_TABLE = ("no-table", UNSUPPORTED, "The firmware publishes no such table.")
    NO_CAPABILITY = ("no-capability", UNSUPPORTED, "A kernel or a firmware lacks what the scenario needs.")
    # ERROR
    NO_OVERLAP = (
        "no-overlap",
        ERROR,
        "No kexec segment covered the table or would have covered it: the run proves nothing about it.",
    )
    NOT_REUSED = (
        "not-reused",
        ERROR,
        "The memory of a table that Xen does not keep still held the table: the run proves nothing about its loss.",
    )
    NO_PAGE_CROSSING = (
        "no-page-crossing",
        ERROR,
        "The EFI memory map did not grow into another page: the run proves nothing about that.",
    )
    MISSING_REPORT = ("missing-report", ERROR, "The record lacks what a check needs.", UNLESS_ENDED)
    NO_BOOT = ("no-boot", ERROR, "The first kernel never reported: nothing was tested.")
    NO_CONSOLE = (
        "no-console",
        ERROR,
        "A kernel reported on the link and printed nothing on the console: what it would have said is unknown.",
    )
    STALLED_CONSOLE = (
        "stalled-console",
        ERROR,
        "The console stopped in the middle of what the kernel logged, while the link went on.",
    )
    AGENT_LOST = ("agent-lost", ERROR, "The guest agent says nothing more, and its kernel lives.")
    PORT_LOST = ("port-lost", ERROR, "Console or link were closed while QEMU lived.", ALWAYS, (), INFRA)
    CLOCK_SKEW = (
        "clock-skew",
        ERROR,
        "The host's clocks disagree about how long the run took: its budgets mean nothing.",
        ALWAYS,
        (),
        INFRA,
    )
    AGENT_ERROR = ("agent-error", ERROR, "The EFI agent could not do what the plan says.")
    GUEST_ERROR = ("guest-error", ERROR, "The guest agent could not do a step.")
    SETUP_NOT_PROVED = (
        "setup-not-proved",
        ERROR,
        "A knob of the scenario cannot be shown to have taken effect.",
        ALWAYS,
        (),
        STRANGER,
    )
    QEMU_DIED = ("qemu-died", ERROR, "QEMU ended by itself, or was killed.", ALWAYS, (), INFRA)
    HOST = ("host", ERROR, "The host failed.", ALWAYS, (), INFRA)
    INTERNAL = ("internal", ERROR, "The harness failed by a bug of its own; the traceback is in a file.")
    INTERRUPTED = ("interrupted", ERROR, "The run was stopped on request.")
    BAD_RECORD = ("bad-record", ERROR, "The record is damaged.")


_RANKS = {cause: place if cause.status is FAIL else len(Cause) for place, cause in enumerate(Cause)}
