"""Map files: ``firmware.memory.map.file`` of a scenario names one beside it, and its entries take the name's place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import Mistake, ScenarioErrors
from harness.load.reading import yaml12
from harness.load.reading.document import DocPath, Document
from harness.load.reading.messages import validate, value_at
from harness.load.reading.words import show
from harness.model.words.memorymap import MapFile

_PLACE: DocPath = ("firmware", "memory", "map")
_ANY_ENTRY = {"at": 0, "size": 4096, "type": "conventional"}
_EMPTY = "is empty; harness memmap import LOG writes a map file"


def names_one(tree: Any) -> bool:
    """Does a scenario name a map file?"""
    wanted = value_at(tree, _PLACE)
    return isinstance(wanted, dict) and "file" in wanted


def include(document: Document, tree: Any) -> list[Mistake]:
    """Put the entries of the map file that a scenario names into ``tree``, and say what is wrong with either."""
    wanted = value_at(tree, _PLACE)
    if not names_one(tree):
        return []
    mistakes = list(_misused(document, wanted))
    name, hook = wanted["file"], wanted.get("hook", False)
    wanted.clear()
    # With a wrong file one mistake is enough.
    wanted.update(file=str(name), hook=hook, entries=[_ANY_ENTRY])
    if mistakes:
        return mistakes
    path = Path(document.file).parent / name
    try:
        found = yaml12.read(path, _EMPTY)
    except ScenarioErrors as error:
        return [document.mistake((*_PLACE, "file"), f"{one.file}: {one.message}") for one in error.mistakes]
    _, findings = validate(MapFile, found.tree, lambda: found.written)
    mistakes = list(found.mistakes)
    mistakes += [found.mistake(item.path, item.message, at_key=item.at_key, shown=item.shown) for item in findings]
    if not mistakes:
        wanted.update(found.tree)
    return mistakes


def _misused(document: Document, wanted: dict[str, Any]) -> Iterator[Mistake]:
    name = wanted["file"]
    if not isinstance(name, str) or not name or name.endswith((".yaml", ".yml")):
        message = f"{show(name)} is not a map file; its name ends in .map, so that it is not taken for a scenario"
        yield document.mistake((*_PLACE, "file"), message)
    for key in wanted:
        if key not in ("file", "hook"):
            yield document.mistake(
                (*_PLACE, key), f"'{key}' cannot stand beside 'file': it is in that file", at_key=True
            )
