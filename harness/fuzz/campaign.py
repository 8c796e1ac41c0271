"""The loop: make, try, and shrink the first that fails. Pure but for what ``trial`` does."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.errors import HostError
from harness.evidence.maps.efimap import EfiRegion
from harness.fuzz.entries import Entries, generate, shrink

_PATIENCE = 3
"""Trials in a row without an answer, after which it is no use to go on."""


class Outcome(StrEnum):
    HOLDS = "holds"
    FAILS = "fails"
    UNKNOWN = "unknown"
    """The run proved nothing (ERROR)."""


@dataclass(frozen=True)
class Found:
    """A command line that fails."""

    run: int
    """Which run found it, from 1."""
    first: Entries
    smallest: Entries
    trials: int
    """How many more runs it took to make it small."""


@dataclass(frozen=True)
class Result:
    runs: int
    """Runs that were made, without those of the shrinking."""
    unknown: int
    found: Found | None


def search(
    trial: Callable[[str, Entries], Outcome],
    regions: Sequence[EfiRegion],
    *,
    runs: int,
    seed: int,
) -> Result:
    """Try up to ``runs`` command lines over a firmware's map; stop at the first that fails, and shrink it.

    Args:
        trial: runs one; the text says which it is, for the user.

    Raises:
        HostError: several runs in a row proved nothing.
    """
    rng = random.Random(seed)  # noqa: S311  to be repeated, not to be secret
    unknown = in_a_row = 0
    for run in range(1, runs + 1):
        entries = generate(rng, regions)
        outcome = trial(f"run {run} of {runs}", entries)
        if outcome is Outcome.FAILS:
            return Result(run, unknown, _shrunk(trial, entries, run))
        in_a_row = in_a_row + 1 if outcome is Outcome.UNKNOWN else 0
        unknown += outcome is Outcome.UNKNOWN
        if in_a_row == _PATIENCE:
            raise HostError(
                f"{_PATIENCE} runs in a row proved nothing", hint="Look at their records with 'harness judge RUNDIR'."
            )
    return Result(runs, unknown, None)


def _shrunk(trial: Callable[[str, Entries], Outcome], entries: Entries, run: int) -> Found:
    trials = 0

    def fails(smaller: Entries) -> bool:
        nonlocal trials
        trials += 1
        return trial(f"shrinking, trial {trials}", smaller) is Outcome.FAILS

    smallest = shrink(entries, fails)
    return Found(run, entries, smallest, trials)
