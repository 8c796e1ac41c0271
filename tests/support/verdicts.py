"""What tests ask of a verdict: its cause, its place, the values in it. Its wording is held by goldens (words.py)."""

from __future__ import annotations

from harness.model.causes import Cause, Status
from harness.model.verdict import Check, Verdict


def check_of(verdict: Verdict, name: str) -> Check:
    """The one check of this name, or whose name begins so up to a colon."""
    (found,) = [check for check in verdict.checks if name in (check.name, check.name.partition(":")[0])]
    return found


def said(verdict: Verdict) -> str:
    """Everything that the non-passing checks say, with where."""
    return "\n".join(text_of(check) for check in verdict.checks if check.status is not Status.PASS)


def text_of(check: Check) -> str:
    """What a check says, with where."""
    lines = [f"{check.summary} @epoch {check.epoch}", *(f"{item.text} @{item.where}" for item in check.evidence)]
    return "\n".join(lines)


def verdict_is(verdict: Verdict, status: Status, cause: Cause | None, epoch: int | None, *values: str) -> None:
    """A verdict's cause, in an epoch (None: in any), and each of these values somewhere in what it says."""
    seen = f"{verdict.status} {verdict.cause} epoch {verdict.epoch}: {verdict.headline}\n{said(verdict)}"
    assert (verdict.status, verdict.cause) == (status, cause), seen
    assert epoch in (None, verdict.epoch), seen
    for value in values:
        assert value in seen, f"{value!r} is not in:\n{seen}"
