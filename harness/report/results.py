"""What came of a whole ``harness run``: its verdicts, and which scenarios are flaky. Every format is made of this."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.model.base import Value
from harness.model.causes import Status
from harness.model.verdict import Verdict


@dataclass(frozen=True)
class Results:
    """All that a format may tell."""

    verdicts: Sequence[Verdict]
    planned: int
    """How many runs were to be made; more than there are verdicts when the run was stopped."""
    exit: int
    """The exit status that it comes to."""
    not_run: tuple[str, ...] = ()
    """The variants of the runs that have no verdict, in order, one as often as its runs."""
    error: str | None = None
    """What ended all, in place of verdicts."""

    @property
    def flaky(self) -> tuple[Tally, ...]:
        return tuple(item for item in tally(self.verdicts) if item.flaky)


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
