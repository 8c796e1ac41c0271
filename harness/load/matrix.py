"""The matrix of a scenario file: axes, their values, and the documents they expand to.

An axis value replaces a scalar that is exactly ``${axis}`` and keeps its type; inside a longer text it is put in as it
is written. Keys, ``id`` and the matrix itself are never substituted.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.errors import Mistake
from harness.load.reading.document import DocPath, Document
from harness.load.reading.words import allowed, did_you_mean, show

DEFAULT_FIRMWARE = "ovmf-x64"
MAX_VARIANTS = 500
_AXIS = re.compile(r"[a-z][a-z0-9-]*")
_USE = re.compile(r"\$\{([^}]*)\}")
_NOT_IN_AN_ID = re.compile(r"[\s\[\],*?]")
Scalar = str | int | float | bool


@dataclass(frozen=True)
class Axis:
    name: str
    values: tuple[Scalar, ...]
    paths: tuple[DocPath | None, ...]
    """Where each value stands in the file; None for one from the command line."""


@dataclass(frozen=True)
class Cell:
    """One point of the matrix."""

    axes: tuple[Axis, ...]
    indexes: tuple[int, ...]

    @property
    def values(self) -> Mapping[str, Scalar]:
        return {axis.name: axis.values[n] for axis, n in zip(self.axes, self.indexes, strict=True)}

    @property
    def label(self) -> str:
        """``debian-6.1-cloud,ovmf-x64``: what stands in brackets in the variant's id."""
        return ",".join(label(axis.name, axis.values[n]) for axis, n in zip(self.axes, self.indexes, strict=True))

    def path_of(self, name: str) -> DocPath | None:
        for axis, n in zip(self.axes, self.indexes, strict=True):
            if axis.name == name:
                return axis.paths[n]
        return None


def label(axis: str, value: Scalar) -> str:
    """The value as it stands in an id; of a kernel or firmware given by path only the file's name."""
    text = value_text(value)
    return text.rsplit("/", 1)[-1] if axis in ("kernel", "firmware") else text


def value_text(value: Scalar) -> str:
    """A scalar as YAML writes it."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def axes_of(document: Document, replaced: Mapping[str, Sequence[Scalar]]) -> tuple[tuple[Axis, ...], list[Mistake]]:
    """The axes in the order of ids (kernel, firmware, then as in the file), and what is wrong with them.

    ``replaced`` holds values from the command line for some axes; a wrong axis in the file is a mistake all the same.
    """
    matrix = document.tree.get("matrix")
    if "matrix" not in document.tree:
        return (), [
            document.mistake((), "is missing; a mapping with: kernel, firmware, and more axes", shown=("matrix",))
        ]
    if not isinstance(matrix, dict):
        return (), [document.mistake(("matrix",), f"{show(matrix)} is not a mapping of axes to lists of values")]
    mistakes = []
    if "kernel" not in matrix:
        mistakes.append(document.mistake(("matrix",), "is missing; a list of kernels", shown=("matrix", "kernel")))
    axes = {"firmware": Axis("firmware", (DEFAULT_FIRMWARE,), (None,))}
    for name, values in matrix.items():
        found = list(_axis_mistakes(document, name, values))
        mistakes += found
        if not found:
            axes[name] = Axis(name, tuple(values), tuple(("matrix", name, n) for n in range(len(values))))
    for name in replaced:
        if name in axes or name == "kernel":
            axes[name] = Axis(name, tuple(replaced[name]), (None,) * len(replaced[name]))
    first = [axes[name] for name in ("kernel", "firmware") if name in axes]
    ordered = first + [axis for axis in axes.values() if axis not in first]
    mistakes += _too_many(document, ordered)
    return tuple(ordered), mistakes


def _axis_mistakes(document: Document, name: str, values: Any) -> Iterator[Mistake]:
    path: DocPath = ("matrix", name)
    if not _AXIS.fullmatch(name):
        yield document.mistake(path, f"'{name}' is not a name for an axis; use a-z, 0-9 and '-'", at_key=True)
    if not isinstance(values, list):
        yield document.mistake(path, f"{show(values)} is not a list of values; write [{show(values).strip(chr(39))}]")
        return
    if not values:
        yield document.mistake(path, "is an empty list: nothing would be run")
    seen: dict[str, int] = {}
    for n, value in enumerate(values):
        wrong = value_mistake(name, value)
        if wrong:
            yield document.mistake((*path, n), wrong)
        elif label(name, value) in seen:
            first = values[seen[label(name, value)]]
            same = "stands here twice" if first == value else f"and {show(first)} have the same id"
            yield document.mistake((*path, n), f"{show(value)} {same}")
        else:
            seen[label(name, value)] = n


def value_mistake(axis: str, value: Any) -> str:
    """What is wrong with one value of an axis; empty when it is fine."""
    if isinstance(value, list | dict) or value is None:
        return f"{show(value)} is not a value for an axis; use text, a number, true or false"
    if axis in ("kernel", "firmware") and not isinstance(value, str):
        return f"{show(value)} is not a name; put it in quotes"
    text = label(axis, value)
    if not text:
        return f"{show(value)} names no {axis}"
    if _NOT_IN_AN_ID.search(text) or not text.isprintable():
        return f"{show(value)} cannot stand in an id: no spaces, commas, brackets, '*' or '?'"
    return ""


def _too_many(document: Document, axes: Sequence[Axis]) -> list[Mistake]:
    count = 1
    for axis in axes:
        count *= len(axis.values)
    if count <= MAX_VARIANTS:
        return []
    return [document.mistake(("matrix",), f"gives {count} variants; at most {MAX_VARIANTS} are allowed")]


def cells(axes: Sequence[Axis]) -> Iterator[Cell]:
    """Every point of the matrix; the kernel varies slowest."""
    for indexes in itertools.product(*(range(len(axis.values)) for axis in axes)):
        yield Cell(tuple(axes), indexes)


@dataclass
class Substituted:
    """A tree with the axes put in; ``origin`` says of each replaced scalar which axes it came from."""

    tree: Any
    origin: dict[DocPath, tuple[str, ...]] = field(default_factory=dict)
    whole: set[DocPath] = field(default_factory=set)
    """The scalars that were exactly ``${axis}``."""


def substitute(tree: Any, values: Mapping[str, Scalar]) -> Substituted:
    """Put the axes' values in. Unknown names stay as they are: ``uses`` finds them.

    Only what an axis reaches is copied; the rest of the result is ``tree``'s own, and not to be changed.
    """
    result = Substituted(None)
    result.tree = _substitute(tree, (), values, result)
    return result


def _substitute(tree: Any, path: DocPath, values: Mapping[str, Scalar], result: Substituted) -> Any:
    if isinstance(tree, str):
        return _substituted(tree, path, values, result) if "${" in tree else tree
    if not isinstance(tree, dict | list):
        return tree
    changed: Any = None
    for part, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if path or (part,) not in _FIXED:
            new = _substitute(value, (*path, part), values, result)
            if new is not value:
                changed = tree.copy() if changed is None else changed
                changed[part] = new
    return tree if changed is None else changed


def _substituted(text: str, path: DocPath, values: Mapping[str, Scalar], result: Substituted) -> Scalar:
    names = tuple(name for name in names_in(text) if name in values)
    if not names:
        return text
    result.origin[path] = names
    if text == f"${{{names[0]}}}":
        result.whole.add(path)
        return values[names[0]]
    return _USE.sub(lambda use: value_text(values[use[1]]) if use[1] in values else use[0], text)


_FIXED: frozenset[DocPath] = frozenset({("id",), ("matrix",)})


def names_in(value: Any) -> tuple[str, ...]:
    """The axes that a scalar names."""
    return tuple(_USE.findall(value)) if isinstance(value, str) and "${" in value else ()


def uses(tree: Any, path: DocPath = ()) -> Iterator[tuple[DocPath, str]]:
    """Every ``${name}`` of a document and its place."""
    if path in _FIXED:
        return
    for part, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from uses(value, (*path, part))
    for name in names_in(tree):
        yield path, name


def use_mistakes(document: Document) -> list[Mistake]:
    """Names that are no axis, and axes that nobody uses."""
    matrix = document.tree.get("matrix")
    axes = [name for name in matrix if _AXIS.fullmatch(name)] if isinstance(matrix, dict) else []
    known = list(dict.fromkeys([*axes, "kernel", "firmware"]))
    used = list(uses(document.tree))
    mistakes = [
        document.mistake(path, f"'${{{name}}}' is not an axis; {allowed(known)}{did_you_mean(name, known)}")
        for path, name in used
        if name not in known
    ]
    idle = set(axes) - {name for _, name in used} - {"kernel", "firmware"}
    mistakes += [
        document.mistake(
            ("matrix", name), f"the axis is never used; write ${{{name}}} where its values belong", at_key=True
        )
        for name in axes
        if name in idle
    ]
    return mistakes
