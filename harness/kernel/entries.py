"""The registry's files, ``kernels/*.yaml``: what can be tested, one kernel a file. docs/kernels.md is the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.errors import Mistake, ScenarioErrors
from harness.kernel.kinds.kind import Entry, Item
from harness.kernel.kinds.table import BY_NAME
from harness.load.reading import yaml12
from harness.load.reading.document import Document
from harness.load.reading.messages import validate
from harness.load.reading.words import allowed, did_you_mean, show

NOT_ENTRIES = frozenset(("known-issues.yaml",))
"""Files beside the entries that say something else."""


def load(path: Path) -> Entry:
    """Read one entry.

    Raises:
        ScenarioErrors: every mistake of the file, each with its place.
    """
    document = yaml12.read(path, "is empty; docs/kernels.md shows an entry")
    entry, mistakes = _entry(document)
    if entry is not None and entry.name != path.stem:
        message = f"is {entry.name!r}, but the file is called {path.name}; both must be the same"
        mistakes.append(document.mistake(("name",), message))
    if entry is None or mistakes or document.mistakes:
        raise ScenarioErrors([*document.mistakes, *mistakes])
    return entry


def load_all(directory: Path) -> dict[str, Item[Any]]:
    """All entries of a directory by name.

    Raises:
        ScenarioErrors: every mistake of every file.
    """
    items: dict[str, Item[Any]] = {}
    mistakes: list[Mistake] = []
    for path in sorted(directory.glob("*.yaml")):
        if path.name in NOT_ENTRIES:
            continue
        try:
            entry = load(path)
        except ScenarioErrors as error:
            mistakes += error.mistakes
        else:
            items[entry.name] = Item(entry, path, items)
    for item in items.values():
        wrong = BY_NAME[item.entry.kind].wrong(item)
        if wrong is not None:
            mistakes.append(yaml12.read(item.file).mistake(*wrong))
    if mistakes:
        raise ScenarioErrors(mistakes)
    return items


def _entry(document: Document) -> tuple[Entry | None, list[Mistake]]:
    tree = document.tree
    if not isinstance(tree, dict):
        message = f"{show(tree)} is not a mapping of keys to values; docs/kernels.md shows an entry"
        return None, [document.mistake((), message)]
    if "kind" not in tree:
        return None, [document.mistake((), f"is missing; {allowed(BY_NAME)}", shown=("kind",))]
    name = tree["kind"]
    kind = BY_NAME.get(name) if isinstance(name, str) else None
    if kind is None:
        message = f"{show(name)} is not a kind of entry; {allowed(BY_NAME)}{did_you_mean(name, BY_NAME)}"
        return None, [document.mistake(("kind",), message)]
    entry, findings = validate(kind.entry, tree, lambda: document.written)
    return entry, [
        document.mistake(finding.path, finding.message, at_key=finding.at_key, shown=finding.shown)
        for finding in findings
    ]
