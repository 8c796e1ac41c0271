"""kernels/known-issues.yaml: bugs that are known, with the exact cause by which each must show.

The order of the file decides: the first entry that matches counts (harness/judge/known.py), so special entries stand
before general ones. An entry that an earlier one hides completely is a mistake.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path

from harness.errors import Mistake, ScenarioErrors
from harness.load.reading import yaml12
from harness.load.reading.document import DocPath, Document
from harness.load.reading.messages import validate
from harness.load.reading.words import did_you_mean, show
from harness.model.globs import glob_matches
from harness.model.verdict import KnownIssue


def load_known_issues(path: Path, scenario_ids: Collection[str] = ()) -> tuple[KnownIssue, ...]:
    """The entries in the order of the file; ``[]`` in the file for none.

    With ``scenario_ids`` an entry must match one of them: an entry for a scenario that is gone hides nothing, but it
    would stay for ever.

    Raises:
        ScenarioErrors: every mistake of the file.
    """
    document = yaml12.read(path, "is empty; write [] for a list without entries")
    mistakes = list(document.mistakes)
    if not isinstance(document.tree, list):
        message = f"{show(document.tree)} is not a list of known issues; write [] for none"
        raise ScenarioErrors([*mistakes, document.mistake((), message)])
    issues: dict[int, KnownIssue] = {}
    for n, item in enumerate(document.tree):
        issue, findings = validate(KnownIssue, item, partial(_below, document, n))
        mistakes += [
            document.mistake(
                (n, *finding.path), finding.message, at_key=finding.at_key, shown=(n, *(finding.shown or finding.path))
            )
            for finding in findings
        ]
        if issue is not None:
            issues[n] = issue
    mistakes += _hidden(document, issues)
    mistakes += _unmatched(document, issues, scenario_ids)
    if mistakes:
        raise ScenarioErrors(mistakes)
    return tuple(issues.values())


def _below(document: Document, n: int) -> dict[DocPath, str]:
    return {path[1:]: text for path, text in document.written.items() if path[:1] == (n,)}


def _hidden(document: Document, issues: dict[int, KnownIssue]) -> list[Mistake]:
    mistakes = []
    for n, issue in issues.items():
        for earlier in range(n):
            other = issues.get(earlier)
            if other and _hides(other, issue):
                line = document.spots[(earlier,)].line
                message = f"is never used: the entry in line {line} matches everything that this one matches"
                mistakes.append(document.mistake((n,), message))
                break
    return mistakes


def _hides(other: KnownIssue, issue: KnownIssue) -> bool:
    pairs = ((other.hypervisor, issue.hypervisor), (other.started_by, issue.started_by))
    narrower = all(wide is None or (narrow is not None and _covers(wide, narrow)) for wide, narrow in pairs)
    return narrower and _covers(other.scenario, issue.scenario) and _covers(other.kernel, issue.kernel)


def _covers(glob: str, narrower: str) -> bool:
    # What '*' and '?' of the narrower glob stand for is unknown: try nothing and much for '*', and a character that
    # no glob spells out.
    text = narrower.replace("?", "\0")
    return all(glob_matches(glob, text.replace("*", filler)) for filler in ("", "\0" * 64))


def _unmatched(document: Document, issues: dict[int, KnownIssue], ids: Collection[str]) -> list[Mistake]:
    return [
        document.mistake(
            (n, "scenario"), f"{show(issue.scenario)} matches no scenario{did_you_mean(issue.scenario, ids)}"
        )
        for n, issue in issues.items()
        if ids and not any(glob_matches(issue.scenario, name) for name in ids)
    ]
