"""The registry's files, ``kernels/*.yaml``: what can be tested, one kernel a file. docs/kernels.md is the reference."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from harness.errors import Mistake, ScenarioErrors
from harness.load import yaml12
from harness.load.document import Document
from harness.model.base import Value

NOT_ENTRIES = frozenset(("known-issues.yaml",))
"""Files beside the entries that say something else."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._+-]{0,63}$", description="The kernel's name: the file's name.")]


class DebianEntry(Value):
    """The newest package of a series in Debian, or one exact version."""

    kind: Literal["debian"]
    name: Name
    description: str = Field(min_length=10, description="One line for lists.")
    series: str = Field(pattern=r"^\d+\.\d+$", description="The first two numbers of the version, in quotes.")
    flavour: Literal["amd64", "cloud-amd64"]
    suites: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9/_-]*$")], ...] = Field(
        min_length=1, description="Where to look. The newest of all is taken; of equals, that of the first suite."
    )
    pin: str | None = Field(default=None, min_length=3, description="An exact package version instead of the newest.")


class FileEntry(Value):
    """Files that are already on this machine; relative paths begin at the entry's file."""

    kind: Literal["file"]
    name: Name
    description: str = Field(min_length=10, description="One line for lists.")
    image: str = Field(min_length=1, description="A bzImage.")
    config: str | None = Field(default=None, description="Its configuration; found by itself where it usually lies.")
    modules: str | None = Field(default=None, description="Its lib/modules/RELEASE; found by itself likewise.")


Entry = DebianEntry | FileEntry
_ADAPTER: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])


def load(path: Path) -> Entry:
    """Read one entry.

    Raises:
        ScenarioErrors: every mistake of the file, each with its place.
    """
    document = yaml12.read(path, "is empty; docs/kernels.md shows an entry")
    mistakes = list(document.mistakes)
    try:
        # through JSON, where strict mode takes a list for a tuple
        entry = _ADAPTER.validate_json(json.dumps(document.tree))
    except ValidationError as error:
        mistakes += [_mistake(document, details) for details in error.errors(include_url=False)]
    else:
        if entry.name != path.stem:
            message = f"is {entry.name!r}, but the file is called {path.name}; both must be the same"
            mistakes.append(document.mistake(("name",), message))
    if mistakes:
        raise ScenarioErrors(mistakes)
    return entry


def load_all(directory: Path) -> dict[str, tuple[Entry, Path]]:
    """All entries of a directory by name, each with its file.

    Raises:
        ScenarioErrors: every mistake of every file.
    """
    entries: dict[str, tuple[Entry, Path]] = {}
    mistakes: list[Mistake] = []
    for path in sorted(directory.glob("*.yaml")):
        if path.name in NOT_ENTRIES:
            continue
        try:
            entry = load(path)
        except ScenarioErrors as error:
            mistakes += error.mistakes
        else:
            entries[entry.name] = (entry, path)
    if mistakes:
        raise ScenarioErrors(mistakes)
    return entries


def _mistake(document: Document, details: ErrorDetails) -> Mistake:
    kind = details["type"]
    # a discriminated union puts the tag first: ("debian", "suites", 0)
    path = tuple(details["loc"][1:])
    context: dict[str, Any] = details.get("ctx", {})
    if kind == "union_tag_not_found":
        return document.mistake((), "lacks the key 'kind'; give 'kind: debian' or 'kind: file'")
    if kind == "union_tag_invalid":
        return document.mistake(("kind",), f"is {context['tag']!r}; a kernel is of kind 'debian' or 'file'")
    if kind == "extra_forbidden":
        known = DebianEntry if details["loc"][:1] == ("debian",) else FileEntry
        return document.mistake(path, f"is not a key here; the keys are {', '.join(known.model_fields)}", at_key=True)
    message = _MESSAGES.get(kind, _in_pydantic_words)
    return document.mistake(path, message(details["input"], details["msg"]), shown=path)


def _in_pydantic_words(seen: Any, text: str) -> str:
    return f"is {seen!r}: {text[:1].lower()}{text[1:]}"


_MESSAGES: dict[str, Callable[[Any, str], str]] = {
    "missing": lambda _seen, _text: "is missing",
    "string_type": lambda seen, _text: f"is {seen!r}, text is wanted; put it in quotes",
    "tuple_type": lambda seen, _text: f"is {seen!r}, a list is wanted, such as [{seen}]",
    "model_attributes_type": lambda _seen, _text: "must be a mapping of keys to values",
    "dict_type": lambda _seen, _text: "must be a mapping of keys to values",
}
