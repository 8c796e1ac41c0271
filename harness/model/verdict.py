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
    CANARY_DAMAGED = "canary-damaged"
    FAKE_MEM_MISMATCH = "fake-mem-mismatch"
    """The kernel's EFI memory map is not what firmware's map and the efi_fake_mem= entries make."""
    SOFT_RESERVED_MISMATCH = "soft-reserved-mismatch"
    """Soft Reserved in /proc/iomem is not what the kernel was given."""
    SOFT_RESERVED_LOST = "soft-reserved-lost"
    """Soft Reserved memory of one kernel is something else in the kernel it kexec'ed."""
    TABLE_REFUSED = "table-refused"
    """The bytes are intact, but the kernel does not show the table, or shows other values."""
    PANIC = "panic"
    OOPS = "oops"
    RESET = "reset"
    POWEROFF = "poweroff"
    HANG = "hang"
    OLD_KERNEL = "old-kernel"
    """An epoch is the kernel of the epoch before, still or again."""
    WRONG_KERNEL = "wrong-kernel"
    """An epoch runs another kernel than the one that was loaded."""
    BACK_IN_FIRMWARE = "back-in-firmware"
    KEXEC_LOAD_FAILED = "kexec-load-failed"
    # UNSUPPORTED
    NO_TABLE = "no-table"
    NO_CAPABILITY = "no-capability"
    # ERROR
    NO_OVERLAP = "no-overlap"
    """No kexec segment covered the table or would have covered it: the run proves nothing about it."""
    NO_PAGE_CROSSING = "no-page-crossing"
    """The EFI memory map did not grow into another page: the run proves nothing about that."""
    MISSING_REPORT = "missing-report"
    NO_BOOT = "no-boot"
    """The first kernel never reported: nothing was tested."""
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


class KnownIssue(Value):
    """An entry of known-issues.yaml."""

    scenario: str = Field(description="Scenario id, or a glob over ids.", examples=["esrt/kexec-load"])
    kernel: str = Field(description="Registry name of the kernel under test, or a glob.", examples=["debian-*"])
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

    @property
    def as_expected(self) -> bool:
        """Does this keep ``harness run`` at exit 0?"""
        return self.status is Status.PASS or (self.status is Status.FAIL and self.known is not None)
