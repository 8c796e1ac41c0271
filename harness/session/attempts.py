"""Runs that are made a second time, after a fault of the host."""

from __future__ import annotations

from harness.model.causes import Mark, Status
from harness.model.record import Phase
from harness.model.verdict import Attempt, Verdict

_BEFORE_A_KERNEL = frozenset({Phase.START, Phase.FIRMWARE, Phase.AGENT})


def worth_another(verdict: Verdict) -> bool:
    """Did the host fail before a kernel had started? Then nothing was tested, and nothing is hidden by trying again."""
    return (
        verdict.status is Status.ERROR
        and verdict.cause is not None
        and verdict.cause.mark is Mark.INFRA
        and verdict.phase in _BEFORE_A_KERNEL
        and bool(verdict.run_dir)
    )


def after(earlier: Verdict, verdict: Verdict) -> Verdict:
    """``verdict`` of the second try, which says that it is one."""
    attempt = Attempt(
        run_id=earlier.run_id,
        status=earlier.status,
        cause=earlier.cause,
        headline=earlier.headline,
        run_dir=earlier.run_dir,
    )
    note = f"this is the second attempt; the first ended with {earlier.status} {earlier.cause}: {earlier.headline}"
    return verdict.model_copy(update={"attempts": (*verdict.attempts, attempt), "notes": (*verdict.notes, note)})
