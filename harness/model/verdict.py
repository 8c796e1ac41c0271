"""The judgement of one run: whose fault, what cause, and the evidence for it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from harness.model.base import Value
from harness.model.record import Phase


class Status(StrEnum):
    PASS = "PASS"
    """Every expectation held, each with its evidence, and every knob is proved to have taken effect."""
    FAIL = "FAIL"
    """The kernel or firmware under test is at fault."""
    UNSUPPORTED = "UNSUPPORTED"
    """It cannot be tested here; the reason and the way out are given."""
    ERROR = "ERROR"
    """Harness, QEMU or host failed, or the run proves nothing. The default."""


class Cause(StrEnum):
    """Why a check is not a PASS. Stable names: known-issues.yaml, JUnit and CI rules match on them."""

    # FAIL
    ESRT_CORRUPT = "esrt-corrupt"
    BGRT_CORRUPT = "bgrt-corrupt"
    MEMATTR_CORRUPT = "memattr-corrupt"
    RTPROP_CORRUPT = "rtprop-corrupt"
    MOKVAR_CORRUPT = "mokvar-corrupt"
    UNACCEPTED_CORRUPT = "unaccepted-corrupt"
    INITRD_CORRUPT = "initrd-corrupt"
    TPM_LOG_CORRUPT = "tpm-log-corrupt"
    TPM_FINAL_LOG_CORRUPT = "tpm-final-log-corrupt"
    PRIVATE_CORRUPT = "private-corrupt"
    CANARY_DAMAGED = "canary-damaged"
    STALE_INITRD = "stale-initrd"
    """A kernel that was given no initrd took one, by a table of an earlier kernel's boot."""
    FAKE_MEM_MISMATCH = "fake-mem-mismatch"
    """The kernel's EFI memory map is not what firmware's map and the efi_fake_mem= entries make."""
    SOFT_RESERVED_MISMATCH = "soft-reserved-mismatch"
    """Soft Reserved in /proc/iomem is not what the kernel was given."""
    SOFT_RESERVED_LOST = "soft-reserved-lost"
    """Soft Reserved memory of one kernel is something else in the kernel it kexec'ed."""
    OCCUPIED_OVERWRITTEN = "occupied-overwritten"
    """Memory that firmware has occupied, with canaries of the agent in it, was written to."""
    KERNEL_MISPLACED = "kernel-misplaced"
    """A kernel lies below the lowest place that is right, or over memory that was not free."""
    PAGE_ALLOCATION_FAILED = "page-allocation-failed"
    """A kernel found no memory for one of its own first allocations."""
    EFI_PAGE_GLOBAL = "efi-page-global"
    """A page of EFI's mappings is global."""
    EFI_PAGE_WX = "efi-page-wx"
    """A page of EFI's mappings is both writable and executable, although firmware said which need not be."""
    EFI_STRESS = "efi-stress"
    """Beside calls of firmware a process saw other content in its pages, or such a call failed."""
    RUNTIME_FAULT_FATAL = "runtime-fault-fatal"
    """The kernel died of a fault inside firmware that it should have contained, or lost the task that called."""
    RUNTIME_FAULT_HANG = "runtime-fault-hang"
    """A call of firmware, or the machine, did not come back from a fault inside firmware."""
    RUNTIME_FAULT_SILENT = "runtime-fault-silent"
    """The kernel let firmware touch memory that is not firmware's, or did not notice what it broke."""
    RUNTIME_FAULT_MISREPORTED = "runtime-fault-misreported"
    """The kernel contained a fault inside firmware, but reported another address, nothing, or another error."""
    RUNTIME_NOT_DISABLED = "runtime-not-disabled"
    """After a fault inside firmware the kernel called it again, or let callers wait."""
    RUNTIME_CALL_FAILED = "runtime-call-failed"
    """A call of firmware without any fault failed, or read back something else."""
    NOT_ALIVE = "not-alive"
    """The kernel runs, but cannot fork, use memory or read from a disk, or has tasks that are stuck."""
    KEXEC_ACCEPTED = "kexec-accepted"
    """A kernel was loaded by a call that the running kernel must refuse."""
    REBOOT_FAILED = "reboot-failed"
    """The kernel was to reset the machine, and the machine was not reset."""
    ACPI_LOST = "acpi-lost"
    """A kernel does not find the ACPI tables of firmware, or not all processors."""
    E820_GROWS = "e820-grows"
    """The e820 table gets longer from kexec to kexec."""
    E820_CHANGED = "e820-changed"
    """The e820 table that a kexec'ed kernel is given describes other memory than firmware's, or sysfs another one."""
    RUNTIME_MAP_CHANGED = "runtime-map-changed"
    """A kexec'ed kernel has other EFI runtime regions than the kernel before it."""
    BOOT_SERVICES_LOST = "boot-services-lost"
    """Boot services memory that nothing needs is not given back, or more of it than there was."""
    PAGING_LEVELS = "paging-levels"
    """A kernel runs on page tables of more or fewer levels than it was told."""
    TABLE_REFUSED = "table-refused"
    """The bytes are intact, but the kernel does not show the table, or shows other values."""
    PANIC = "panic"
    OOPS = "oops"
    SILENT_PANIC = "silent-panic"
    """The guest says that it panicked, and the console does not show one."""
    RESET = "reset"
    SILENT_RESET = "silent-reset"
    """A reset before the kernel of this epoch had printed anything."""
    TRIPLE_FAULT = "triple-fault"
    """A reset by the processor itself: an exception while it delivered a double fault."""
    POWEROFF = "poweroff"
    HANG = "hang"
    BOOT_LOOP = "boot-loop"
    """A kernel began again, without a kexec that was asked for."""
    STUB_FAILED = "stub-failed"
    """EFI stub or decompressor gave up: nothing of the kernel itself ran."""
    PURGATORY_FAILED = "purgatory-failed"
    """Purgatory found other bytes than were loaded (SHA-256), and loops."""
    KEXEC_RETURNED = "kexec-returned"
    """The jump into the next kernel came back."""
    OLD_KERNEL = "old-kernel"
    """An epoch is the kernel of the epoch before, still or again."""
    WRONG_KERNEL = "wrong-kernel"
    """An epoch runs another kernel than the one that was loaded."""
    BACK_IN_FIRMWARE = "back-in-firmware"
    KEXEC_LOAD_FAILED = "kexec-load-failed"
    CRASH_REGION_LOST = "crash-region-lost"
    """The kernel has ``crashkernel=`` on its command line, and no ``Crash kernel`` in /proc/iomem."""
    CAPTURE_FAILED = "capture-failed"
    """The capture kernel did not come up, or did not come to the end of its work."""
    CAPTURE_OUT_OF_MEMORY = "capture-out-of-memory"
    """The capture kernel had too little memory."""
    CAPTURE_MISPLACED = "capture-misplaced"
    """The capture kernel uses memory outside of what was reserved for it."""
    VMCORE_MISSING = "vmcore-missing"
    VMCORE_INCOMPLETE = "vmcore-incomplete"
    VMCORE_CORRUPT = "vmcore-corrupt"
    """The dump contradicts itself, or does not hold what memory held."""
    VMCORE_FOREIGN = "vmcore-foreign"
    """It is the dump of another kernel or of another run."""
    VMCORE_RANGES = "vmcore-ranges"
    """The dump is not of the memory that the crashed kernel had."""
    VMCORE_FILTER = "vmcore-filter"
    """The dump has not the pages that its filter level should leave."""
    CPU_NOTES = "cpu-notes"
    """The registers of a CPU are missing."""
    WRONG_CRASH = "wrong-crash"
    """The kernel crashed of something else than what was injected."""
    BACKTRACE = "backtrace"
    """The stack of the task that crashed makes no sense."""
    MEMORY_CHANGED = "memory-changed"
    """Memory of the crashed kernel changed between its panic and the capture kernel, where nothing may write."""
    XEN_TABLE_UNPROTECTED = "xen-table-unprotected"
    """dom0 takes a table of firmware's out of memory that Xen does not keep."""
    XEN_TABLE_LOST = "xen-table-lost"
    """Xen did not keep or move a table as it should, or its copy is not what firmware wrote."""
    XEN_RESERVE = "xen-reserve"
    """dom0 calls efi_mem_reserve(), which means nothing where the hypervisor owns the memory, and warns of it."""
    XEN_PANIC = "xen-panic"
    DOM0_CRASHED = "dom0-crashed"
    """dom0 died, and Xen says so."""
    # UNSUPPORTED
    NO_TABLE = "no-table"
    NO_CAPABILITY = "no-capability"
    # ERROR
    NO_OVERLAP = "no-overlap"
    """No kexec segment covered the table or would have covered it: the run proves nothing about it."""
    NOT_REUSED = "not-reused"
    """The memory of a table that Xen does not keep still held the table: the run proves nothing about its loss."""
    NO_PAGE_CROSSING = "no-page-crossing"
    """The EFI memory map did not grow into another page: the run proves nothing about that."""
    MISSING_REPORT = "missing-report"
    NO_BOOT = "no-boot"
    """The first kernel never reported: nothing was tested."""
    NO_CONSOLE = "no-console"
    """A kernel reported on the link and printed nothing on the console: what it would have said is unknown."""
    STALLED_CONSOLE = "stalled-console"
    """The console stopped in the middle of what the kernel logged, while the link went on."""
    AGENT_LOST = "agent-lost"
    """The guest agent says nothing more, and its kernel lives."""
    PORT_LOST = "port-lost"
    """Console or link were closed while QEMU lived."""
    CLOCK_SKEW = "clock-skew"
    """The host's clocks disagree about how long the run took: its budgets mean nothing."""
    AGENT_ERROR = "agent-error"
    GUEST_ERROR = "guest-error"
    SETUP_NOT_PROVED = "setup-not-proved"
    """A knob of the scenario cannot be shown to have taken effect."""
    QEMU_DIED = "qemu-died"
    HOST = "host"
    INTERRUPTED = "interrupted"
    BAD_RECORD = "bad-record"
    # known-issues.yaml
    KNOWN_ISSUE_GONE = "known-issue-gone"
    """A bug listed in known-issues.yaml did not show: the entry must go, or the run no longer finds it."""


class Evidence(Value):
    """One fact behind a check, and where to look at it."""

    text: str
    where: str = ""
    """``file:line`` inside the run directory, or a guest-physical address or range."""


class Check(Value):
    """One expectation, or one of the identities every run is held to."""

    name: str
    status: Status
    cause: Cause | None = None
    summary: str
    """One sentence with the figures in it."""
    epoch: int | None = None
    """The epoch in which it went wrong, where there is one."""
    evidence: tuple[Evidence, ...] = ()
    hint: str = ""


class Attempt(Value):
    """An earlier try at the same run, which an infrastructure fault ended before a kernel had started."""

    run_id: str
    status: Status
    cause: Cause | None = None
    headline: str
    run_dir: str = ""


class KnownIssue(Value):
    """An entry of known-issues.yaml."""

    scenario: str = Field(description="Scenario id, or a glob over ids.", examples=["esrt/kexec-load"])
    kernel: str = Field(description="Registry name of the kernel under test, or a glob.", examples=["debian-*"])
    hypervisor: str | None = Field(
        default=None,
        description="Registry name of the hypervisor, or a glob; null for runs on any, or on none.",
        examples=["xen-4.17"],
    )
    cause: Cause = Field(description="The exact cause that is expected.")
    epoch: int | None = Field(default=None, description="The epoch in which it is expected; null for any.")
    reason: str = Field(min_length=20, description="Why this happens, in a sentence or two.")
    reference: str = Field(min_length=4, description="A URL, a commit, or a file in docs/ with the evidence.")


class Verdict(Value):
    format: int = 1
    variant: str
    run_id: str
    kernel: str
    release: str = ""
    status: Status
    cause: Cause | None = None
    headline: str
    """One line for the summary."""
    phase: Phase
    epoch: int
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()
    known: KnownIssue | None = None
    """Set when the FAIL is exactly the one that known-issues.yaml expects."""
    duration_s: float = 0.0
    times_s: dict[str, float] = Field(default_factory=dict)
    run_dir: str = ""
    attempts: tuple[Attempt, ...] = ()
    """What was tried before this one; empty for nearly all runs."""

    @property
    def as_expected(self) -> bool:
        """Does this keep ``harness run`` at exit 0?"""
        return self.status is Status.PASS or (self.status is Status.FAIL and self.known is not None)
