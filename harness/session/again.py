"""The command that makes a run again: what was given to the one that started its session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.load.again import words_for
from harness.load.overrides import Overrides
from harness.load.scenarios import Variant
from harness.session.assembly import Choices
from harness.session.places import Places

RUNS = Path("runs")
"""Where records go when nobody says where."""


@dataclass(frozen=True)
class Given:
    """The options of a command, as far as its runs depend on them."""

    choices: Choices
    overrides: Overrides
    scenarios: Path | None = None
    kernels: Path | None = None
    runs: Path = RUNS
    known_issues: bool = True

    def command(self, variant: Variant) -> tuple[str, ...]:
        """``harness run`` with all that means this variant, in words for a shell to quote."""
        root = Places.find(self.scenarios, self.kernels).scenarios
        return ("harness", "run", *words_for(variant, self.overrides, root), *self._options())

    def _options(self) -> Iterator[str]:
        usual, choices = Choices(), self.choices
        for name, value, default in (
            ("--scenarios", self.scenarios, None),
            ("--kernels", self.kernels, None),
            ("--runs", self.runs, RUNS),
            ("--accel", choices.accel, usual.accel),
            ("--time-factor", choices.time_factor, usual.time_factor),
        ):
            if value != default:
                yield from (name, f"{value}")
        if choices.offline:
            yield "--offline"
        if not self.known_issues:
            yield "--no-known-issues"
