"""One parsed scenario file to its scenarios: matrix and command line put in, everything validated."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.errors import Mistake
from harness.load import mapfile, matrix
from harness.load.overrides import (
    Overrides,
    Setting,
    apply_settings,
    check_settings,
    is_axis,
    read_settings,
    replaced_axes,
)
from harness.load.reading.document import DocPath, Document, dotted
from harness.load.reading.messages import Finding, validate, value_at
from harness.load.reading.words import allowed, did_you_mean
from harness.model.scenario import Scenario

_FROM_MATRIX = {"kernel": "kernel", "firmware_name": "firmware"}
"""Keys of the model that a file gives as axes."""


def file_keys() -> tuple[str, ...]:
    """The keys a scenario file may have, in the order they are written."""
    keys = [key for key in Scenario.model_fields if key not in _FROM_MATRIX]
    keys.insert(keys.index("refs") + 1, "matrix")
    return tuple(keys)


@dataclass(frozen=True)
class Changes:
    """The overrides, read once for all files."""

    axes: Mapping[str, tuple[matrix.Scalar, ...]]
    axis_settings: tuple[Setting, ...]
    settings: tuple[Setting, ...]

    @staticmethod
    def read(overrides: Overrides, documents: Iterable[Document]) -> Changes:
        names: dict[str, None] = {}
        for document in documents:
            axes = document.tree.get("matrix")
            names.update(dict.fromkeys(axes if isinstance(axes, dict) else ()))
        settings = read_settings(overrides)
        check_settings(settings, tuple(names))
        axis_settings = tuple(setting for setting in settings if is_axis(setting, tuple(names)))
        return Changes(
            replaced_axes(overrides, settings, tuple(names)),
            axis_settings,
            tuple(setting for setting in settings if setting not in axis_settings),
        )


def expand(document: Document, changes: Changes) -> tuple[list[tuple[matrix.Cell, Scenario]], list[Mistake]]:
    """The scenarios of a file, each with its point of the matrix, and every mistake."""
    axes, wrong_axes = matrix.axes_of(document, changes.axes)
    wrong_axes += matrix.use_mistakes(document)
    mistakes = [*_key_mistakes(document), *_id_mistakes(document), *wrong_axes, *_unfit_axes(document, changes)]
    known = set(file_keys()) - {"matrix"}
    tree = {key: value for key, value in document.tree.items() if key in known}
    if changes.settings or mapfile.names_one(tree):
        tree = copy.deepcopy(tree)  # they change it in place
    mistakes += mapfile.include(document, tree)
    mistakes += apply_settings(document, tree, changes.settings)
    refused = {(mistake.line, mistake.column) for mistake in document.mistakes}
    made = _Scenarios(document, tree, changes.settings)
    scenarios = []
    for cell in matrix.cells(axes) if not wrong_axes else [matrix.Cell((), ())]:
        scenario, found = made.of(cell)
        # What the parser refused has become an empty value: one mistake for it is enough.
        mistakes += [mistake for mistake in found if (mistake.line, mistake.column) not in refused]
        if scenario is not None:
            scenarios.append((cell, scenario))
    return scenarios, mistakes


@dataclass(frozen=True)
class _Scenarios:
    """The scenarios of one file. A matrix is mostly kernels, and most files put them nowhere else: what differs only in
    the kernel's and the firmware's name, which are any text, is validated once."""

    document: Document
    tree: Any
    settings: Sequence[Setting]
    _done: dict[tuple[object, ...], tuple[Scenario | None, list[Mistake]]] = field(default_factory=dict)

    def of(self, cell: matrix.Cell) -> tuple[Scenario | None, list[Mistake]]:
        """The scenario of one point of the matrix, or what is wrong with it."""
        values = cell.values
        # 1, 1.0 and true are equal, and not the same value.
        key = tuple((type(value), value) for name, value in values.items() if name in self._used)
        if key not in self._done:
            self._done[key] = _scenario(self.document, self.tree, cell, self.settings)
        scenario, mistakes = self._done[key]
        return scenario and scenario.model_copy(update=_names(cell)), mistakes

    @cached_property
    def _used(self) -> frozenset[str]:
        return frozenset(name for _, name in matrix.uses(self.tree))


def _names(cell: matrix.Cell) -> dict[str, Any]:
    values = cell.values
    return {key: values.get(axis, "none") for key, axis in _FROM_MATRIX.items()}


def _key_mistakes(document: Document) -> Iterator[Mistake]:
    for key in document.tree:
        if key in _FROM_MATRIX:
            message = f"'{key}' is not a key of a scenario file; it is an axis: matrix.{_FROM_MATRIX[key]}"
        elif key not in file_keys():
            message = f"'{key}' is not a key here; {allowed(file_keys())}{did_you_mean(key, file_keys())}"
        else:
            continue
        yield document.mistake((key,), message, at_key=True)


def _id_mistakes(document: Document) -> Iterator[Mistake]:
    """A file below a folder named ``scenarios`` is named for its id, so that an id can be opened without a search."""
    name = document.tree.get("id")
    parts = Path(document.file).absolute().with_suffix("").parts
    if "scenarios" not in parts[:-1] or not isinstance(name, str):
        return
    last = len(parts) - 2 - parts[-2::-1].index("scenarios")
    wanted = "/".join(parts[last + 1 :])
    if name != wanted:
        yield document.mistake(("id",), f"'{name}' does not match the file; its id is '{wanted}'")


def _unfit_axes(document: Document, changes: Changes) -> Iterator[Mistake]:
    axes = document.tree.get("matrix")
    known = [*(axes if isinstance(axes, dict) else ()), "firmware"]
    for setting in changes.axis_settings:
        if setting.path[0] not in known:
            yield document.mistake(("matrix",), f"has no axis '{setting.path[0]}' ({setting.text})")


def _scenario(
    document: Document, tree: Any, cell: matrix.Cell, settings: Sequence[Setting]
) -> tuple[Scenario | None, list[Mistake]]:
    result = matrix.substitute(tree, cell.values)
    scenario, findings = validate(Scenario, result.tree | _names(cell), lambda: _written(document, result, settings))
    if scenario is not None:
        return scenario, []
    # With a wrong axis there is one cell without values: what still names an axis there cannot be judged.
    return None, [
        _place(document, finding, cell, result, settings)
        for finding in findings
        if cell.axes or not matrix.names_in(value_at(tree, finding.path))
    ]


def _written(document: Document, result: matrix.Substituted, settings: Sequence[Setting]) -> Mapping[DocPath, str]:
    """The scalars of the file that neither an axis nor the command line has replaced."""
    return {
        path: text
        for path, text in document.written.items()
        if path not in result.origin and not any(_touches(setting.path, path) for setting in settings)
    }


def _place(
    document: Document, finding: Finding, cell: matrix.Cell, result: matrix.Substituted, settings: Sequence[Setting]
) -> Mistake:
    """Where the mistake was made: in the file, in a value of the matrix, or on the command line."""
    path, message = finding.path, finding.message
    given = [setting.text for setting in settings if _touches(setting.path, path)]
    names = result.origin.get(path, ())
    if path in result.whole and cell.path_of(names[0]):
        shown = dotted(path)
        return document.mistake(cell.path_of(names[0]) or (), f"{message} (used at {shown})")
    if names:
        message += f" (with {', '.join(f'{name} = {matrix.value_text(cell.values[name])}' for name in names)})"
    elif given:
        message += f" ({', '.join(given)})"
    return document.mistake(path, message, at_key=finding.at_key, shown=finding.shown)


def _touches(one: DocPath, other: DocPath) -> bool:
    """Is one place inside the other?"""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
