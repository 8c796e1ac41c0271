"""The registry's files, ``kernels/*.yaml``: what can be tested, one kernel a file. docs/kernels.md is the reference."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails

from harness.errors import Mistake, ScenarioErrors
from harness.load.reading import yaml12
from harness.load.reading.document import Document
from harness.model.base import Value

NOT_ENTRIES = frozenset(("known-issues.yaml",))
"""Files beside the entries that say something else."""

Suites = Annotated[tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9/_-]*$")], ...], Field(min_length=1)]
Part = Annotated[str, Field(pattern=r"^[^\s].*$", description="A name, or a path with a slash from the entry's file.")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._+-]{0,63}$", description="The kernel's name: the file's name.")]


class DebianEntry(Value):
    """The newest package of a series in Debian, or one exact version."""

    kind: Literal["debian"]
    name: Name
    description: str = Field(min_length=10, description="One line for lists.")
    series: str = Field(pattern=r"^\d+\.\d+$", description="The first two numbers of the version, in quotes.")
    flavour: Literal["amd64", "cloud-amd64"]
    suites: Suites = Field(description="Where to look. The newest of all is taken; of equals, that of the first suite.")
    pin: str | None = Field(default=None, min_length=3, description="An exact package version instead of the newest.")


class FileEntry(Value):
    """Files that are already on this machine; relative paths begin at the entry's file."""

    kind: Literal["file"]
    name: Name
    description: str = Field(min_length=10, description="One line for lists.")
    image: str = Field(min_length=1, description="A bzImage.")
    config: str | None = Field(default=None, description="Its configuration; found by itself where it usually lies.")
    modules: str | None = Field(default=None, description="Its lib/modules/RELEASE; found by itself likewise.")


class SourceOrigin(Value):
    """Where the source comes from: exactly one of ``debian``, ``tree`` and ``tarball``."""

    debian: str | None = Field(
        default=None, pattern=r"^linux-source-\d+\.\d+$", description="Debian's package of the source, patches applied."
    )
    suites: Suites | None = Field(default=None, description="Where to look for the package.")
    pin: str | None = Field(default=None, min_length=3, description="An exact package version instead of the newest.")
    tree: str | None = Field(default=None, min_length=1, description="A directory, perhaps of git; it is not changed.")
    tarball: str | None = Field(default=None, min_length=1, description="linux-VERSION.tar.xz or the like.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(item is not None for item in (self.debian, self.tree, self.tarball)) != 1:
            raise ValueError("needs exactly one of debian, tree and tarball")
        if (self.debian is None) != (self.suites is None):
            raise ValueError("needs debian and suites together")
        if self.pin is not None and self.debian is None:
            raise ValueError("has a pin, which only a Debian package can have")
        return self


class SourceConfig(Value):
    """How the configuration is made: a base, then fragments in order, the later ones winning."""

    base: str = Field(
        default="tinyconfig", min_length=1, description="tinyconfig, defconfig, or the path of a whole .config."
    )
    fragments: tuple[Part, ...] = Field(default=(), description="kernels/fragments/NAME.config, or paths.")


class SourceEntry(Value):
    """A kernel that the harness builds."""

    kind: Literal["source"]
    name: Name
    description: str = Field(min_length=10, description="One line for lists.")
    source: SourceOrigin
    config: SourceConfig = SourceConfig()
    patches: tuple[Part, ...] = Field(default=(), description="kernels/patches/NAME.patch, or paths, in order.")
    localversion: str = Field(
        default="-harness", pattern=r"^-[A-Za-z0-9.+_-]{1,40}$", description="The end of the kernel's release."
    )


class TwinEntry(Value):
    """Another entry's kernel with something more: a known bug put back, for instance."""

    kind: Literal["twin"]
    name: Name
    description: str = Field(min_length=10, description="One line for lists.")
    of: Name = Field(description="The entry of kind source that it is a twin of.")
    patches: tuple[Part, ...] = Field(default=(), description="Added after those of the other entry.")
    fragments: tuple[Part, ...] = Field(default=(), description="Added after those of the other entry.")


class HypervisorEntry(Value):
    """A Xen of Debian, which a scenario can put under its kernel."""

    kind: Literal["hypervisor"]
    name: Name
    description: str = Field(min_length=10, description="One line for lists.")
    package: str = Field(
        pattern=r"^xen-hypervisor-\d+\.\d+-amd64$", description="Debian's package, with xen-VERSION-amd64.efi in it."
    )
    suites: Suites = Field(description="Where to look. The newest of all is taken; of equals, that of the first suite.")
    pin: str | None = Field(default=None, min_length=3, description="An exact package version instead of the newest.")


Entry = DebianEntry | FileEntry | SourceEntry | TwinEntry | HypervisorEntry
_KINDS: dict[str, type[Value]] = {
    "debian": DebianEntry,
    "file": FileEntry,
    "source": SourceEntry,
    "twin": TwinEntry,
    "hypervisor": HypervisorEntry,
}
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
    mistakes += _bad_twins(entries)
    if mistakes:
        raise ScenarioErrors(mistakes)
    return entries


def _bad_twins(entries: dict[str, tuple[Entry, Path]]) -> list[Mistake]:
    mistakes = []
    for entry, path in entries.values():
        if isinstance(entry, TwinEntry):
            other = entries.get(entry.of)
            if other is None or not isinstance(other[0], SourceEntry):
                known = (
                    ", ".join(name for name, (item, _) in entries.items() if isinstance(item, SourceEntry)) or "none"
                )
                message = f"is {entry.of!r}, which is no entry of kind source; there are: {known}"
                mistakes.append(yaml12.read(path).mistake(("of",), message))
    return mistakes


def _mistake(document: Document, details: ErrorDetails) -> Mistake:
    kind = details["type"]
    # a discriminated union puts the tag first: ("debian", "suites", 0)
    path = tuple(details["loc"][1:])
    context: dict[str, Any] = details.get("ctx", {})
    if kind == "union_tag_not_found":
        return document.mistake((), f"lacks the key 'kind'; give one of {', '.join(_KINDS)}")
    if kind == "union_tag_invalid":
        return document.mistake(("kind",), f"is {context['tag']!r}; an entry is {', '.join(_KINDS)}")
    if kind == "extra_forbidden":
        known = _keys(_KINDS[str(details["loc"][0])], path[:-1])
        return document.mistake(path, f"is not a key here; the keys are {', '.join(known)}", at_key=True)
    message = _MESSAGES.get(kind, _in_pydantic_words)
    return document.mistake(path, message(details["input"], details["msg"]), shown=path)


def _keys(model: type[Value], path: tuple[str | int, ...]) -> tuple[str, ...]:
    for part in path:
        inner = model.model_fields[str(part)].annotation
        if isinstance(inner, type) and issubclass(inner, Value):
            model = inner
    return tuple(model.model_fields)


def _in_pydantic_words(seen: Any, text: str) -> str:
    return f"is {seen!r}: {text[:1].lower()}{text[1:]}"


_MESSAGES: dict[str, Callable[[Any, str], str]] = {
    "missing": lambda _seen, _text: "is missing",
    "string_type": lambda seen, _text: f"is {seen!r}, text is wanted; put it in quotes",
    "tuple_type": lambda seen, _text: f"is {seen!r}, a list is wanted, such as [{seen}]",
    "model_attributes_type": lambda _seen, _text: "must be a mapping of keys to values",
    "value_error": lambda _seen, text: text.removeprefix("Value error, "),
    "dict_type": lambda _seen, _text: "must be a mapping of keys to values",
}
