"""The table of report formats: a new one is a module of its own and a row here, which also gives it its option.

``harness judge --NAME`` prints one verdict in the format, ``harness run --NAME FILE`` writes all of them. The first row
is what people get who ask for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.model.plan import Plan
from harness.model.verdict import Verdict
from harness.report import asjson, text
from harness.report.results import Results


@dataclass(frozen=True)
class Format:
    """One row."""

    name: str
    """Of its option, in lower case."""
    title: str
    """As it is called in the help."""
    one: Callable[[Verdict, Plan | None], str]
    """One verdict, for ``harness judge``."""
    all: Callable[[Results], str]
    """All of a run, for ``harness run``."""


TEXT = Format("text", "text", text.render, text.everything)
NAMED = (Format("json", "JSON", asjson.one, asjson.everything),)
