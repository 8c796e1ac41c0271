"""Verdicts as JSON, for programs."""

from __future__ import annotations

import json

from harness.model.plan import Plan
from harness.model.verdict import Verdict
from harness.report.results import Results, untested

FORMAT = 1
"""Raised when a key changes its meaning or goes; new keys do not count."""


def one(verdict: Verdict, _plan: Plan | None = None) -> str:
    """One verdict, as verdict.json has it."""
    return verdict.model_dump_json(indent=1) + "\n"


def everything(results: Results) -> str:
    """All verdicts, the exit status, which variants are flaky, and what was not tested or not run."""
    document = {
        "format": FORMAT,
        "exit": results.exit,
        "error": results.error,
        "flaky": [item.model_dump(mode="json") for item in results.flaky],
        "verdicts": [verdict.model_dump(mode="json") for verdict in results.verdicts],
        "not_testable": untested(results.verdicts),
        "not_run": results.not_run,
    }
    return json.dumps(document, indent=1) + "\n"
