"""How a check says what it found: its status follows from its cause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.model.causes import Cause, Status
from harness.model.verdict import Check, Evidence

SEE_THE_END = "See the check of the run's end."
"""What to do where a report is missing: a run that ended early did not come to it."""


def judged(
    name: str,
    cause: Cause | None,
    summary: str,
    *,
    epoch: int | None = None,
    evidence: Iterable[Evidence] = (),
    hint: str = "",
) -> Check:
    """A check that holds when it has no cause."""
    return Check(
        name=name,
        status=Status.PASS if cause is None else cause.status,
        cause=cause,
        summary=summary,
        epoch=epoch,
        evidence=tuple(evidence),
        hint=hint,
    )


def passed(
    name: str, summary: str, *, epoch: int | None = None, evidence: Iterable[Evidence] = (), hint: str = ""
) -> Check:
    """A check that holds."""
    return judged(name, None, summary, epoch=epoch, evidence=evidence, hint=hint)


def failed(
    name: str,
    cause: Cause,
    summary: str,
    *,
    epoch: int | None = None,
    evidence: Iterable[Evidence] = (),
    hint: str = "",
) -> Check:
    """A check that does not, or that nobody can answer: as its cause says."""
    return judged(name, cause, summary, epoch=epoch, evidence=evidence, hint=hint)


def missing(
    name: str,
    summary: str,
    *,
    epoch: int | None = None,
    evidence: Iterable[Evidence] = (),
    hint: str = SEE_THE_END,
) -> Check:
    """Nobody can say, because the record lacks something."""
    return judged(name, Cause.MISSING_REPORT, summary, epoch=epoch, evidence=evidence, hint=hint)


@dataclass(frozen=True)
class Unusable:
    """Why what a check would judge is not there, or says nothing."""

    epoch: int
    cause: Cause
    text: str
    hint: str = ""


def unusable_check(name: str, problem: Unusable, evidence: Iterable[Evidence] = ()) -> Check:
    """The check that has nothing to judge."""
    return judged(
        name,
        problem.cause,
        problem.text,
        epoch=problem.epoch,
        evidence=tuple(evidence),
        hint=problem.hint or "See the check of the run's end, and the log of that kernel.",
    )
