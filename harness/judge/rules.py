"""Which checks judge a run: what all runs are held to, then what the scenario expects. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.plan import Plan
from harness.subjects.claims import Rule
from harness.subjects.registry import ALWAYS, EXPECTATIONS


def rules(plan: Plan) -> Iterator[Rule]:
    """Every check of a run by its name."""
    for item in ALWAYS:
        yield item.name, item.check
    for expectation in plan.scenario.expect:
        yield from EXPECTATIONS[type(expectation)](expectation)
