"""The judgement of one run: whose fault, what cause, and the evidence for it."""

from __future__ import annotations

from pydantic import Field, model_validator

from harness.model.base import Value
from harness.model.causes import Cause, Status
from harness.model.record import Phase


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

    @model_validator(mode="after")
    def _as_its_cause_says(self) -> Check:
        wanted = Status.PASS if self.cause is None else self.cause.status
        if self.status is not wanted:
            raise ValueError(f"a check with the cause {self.cause} is {wanted}, not {self.status}")
        return self


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
    kernel: str = Field(
        description="Registry name, or a glob, of the kernel of the epoch in which it fails.", examples=["debian-*"]
    )
    started_by: str | None = Field(
        default=None,
        description="Registry name, or a glob, of the kernel that started that one by kexec; null for any.",
        examples=["debian-6.12*"],
    )
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
