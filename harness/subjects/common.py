"""What the checks of a kdump say."""

from __future__ import annotations

from harness.model.causes import Cause, Status
from harness.model.verdict import Check, Evidence


def passed(name: str, summary: str, *evidence: Evidence) -> Check:
    """A check that holds."""
    return Check(name=name, status=Status.PASS, summary=summary, evidence=evidence)


def failed(
    name: str,
    cause: Cause,
    summary: str,
    *,
    epoch: int | None = None,
    evidence: tuple[Evidence, ...] = (),
    hint: str = "",
    status: Status = Status.FAIL,
) -> Check:
    """A check that does not."""
    return Check(
        name=name,
        status=status,
        cause=cause,
        summary=summary,
        epoch=epoch,
        evidence=evidence,
        hint=hint or "docs/kdump.md says what this check asks for, and what else can make it fail.",
    )


def missing(name: str, what: str) -> Check:
    """Nobody can say, because the record lacks something."""
    return failed(name, Cause.MISSING_REPORT, what, status=Status.ERROR, hint="Run it again.")
