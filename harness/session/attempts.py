"""Runs that are made more than once: after a fault of the host, and to see whether a scenario is flaky."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.model.base import Value
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


def untested(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """The variants that could not be tested here."""
    found = (verdict.variant for verdict in verdicts if verdict.status is Status.UNSUPPORTED)
    return tuple(dict.fromkeys(found))


class Tally(Value):
    """What came of the repeated runs of one variant."""

    variant: str
    runs: int
    as_expected: int
    flaky: bool
    """Sometimes as expected, sometimes not."""
    counts: dict[str, int]
    """Runs by status and cause, such as ``FAIL esrt-corrupt``."""

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        return f"{self.variant}: {counts} in {self.runs} runs"


def tally(verdicts: Sequence[Verdict]) -> tuple[Tally, ...]:
    """One for each variant, in the order of their first verdicts."""
    by_variant: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_variant.setdefault(verdict.variant, []).append(verdict)
    return tuple(_tally(variant, found) for variant, found in by_variant.items())


def _tally(variant: str, verdicts: Sequence[Verdict]) -> Tally:
    counts = Counter(" ".join(filter(None, (verdict.status, verdict.cause))) for verdict in verdicts)
    expected = sum(verdict.as_expected for verdict in verdicts)
    return Tally(
        variant=variant,
        runs=len(verdicts),
        as_expected=expected,
        flaky=0 < expected < len(verdicts),
        counts=dict(counts.most_common()),
    )
