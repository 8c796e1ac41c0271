"""Scenario files to variants: every mistake of every file at once, or all variants."""

from __future__ import annotations

import copy
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import InputError, Mistake, ScenarioErrors
from harness.load import mapfile, matrix, yaml12
from harness.load.document import DocPath, Document, dotted
from harness.load.messages import Finding, validate, value_at
from harness.load.overrides import (
    Overrides,
    Setting,
    apply_settings,
    check_settings,
    is_axis,
    read_settings,
    replaced_axes,
)
from harness.load.words import allowed, did_you_mean, show
from harness.model.scenario import Scenario

_FROM_MATRIX = {"kernel": "kernel", "firmware_name": "firmware"}
"""Keys of the model that a file gives as axes."""


@dataclass(frozen=True)
class Variant:
    """One scenario with one point of its matrix: what is run."""

    id: str
    """``esrt/kexec-file[debian-6.1-cloud,ovmf-x64]``: kernel, firmware, then further axes as in the file."""
    scenario: Scenario
    file: str
    line: int
    """The line of ``id`` in the file, from 1."""


def file_keys() -> tuple[str, ...]:
    """The keys a scenario file may have, in the order they are written."""
    keys = [key for key in Scenario.model_fields if key not in _FROM_MATRIX]
    keys.insert(keys.index("refs") + 1, "matrix")
    return tuple(keys)


def find_files(root: Path) -> tuple[Path, ...]:
    """Every ``*.yaml`` below a folder, sorted; a file stands for itself.

    Raises:
        InputError: the folder is not there, cannot be read, or has a ``*.yml``, which would be passed over in silence.
    """
    if root.is_file():
        return (root,)
    found: list[Path] = []
    for folder, _, names in os.walk(root, onerror=_refuse_folder):
        for name in names:
            if name.endswith(".yml"):
                raise InputError(
                    f"{Path(folder, name)}: scenario files end in .yaml", hint="rename it, or move it away"
                )
            if name.endswith(".yaml"):
                found.append(Path(folder, name))
    return tuple(sorted(found))


def _refuse_folder(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be read: {(error.strerror or str(error)).lower()}") from error


def load_files(paths: Sequence[Path], overrides: Overrides = Overrides()) -> tuple[Variant, ...]:  # noqa: B008  frozen
    """The variants of some files, in the order of files and matrix.

    Raises:
        ScenarioErrors: every mistake of every file.
        InputError: an override that cannot be applied to any file.
    """
    return Files.read(paths).variants(overrides)


@dataclass(frozen=True)
class Files:
    """Files that have been parsed once, to be expanded perhaps more than once."""

    documents: tuple[Document, ...]
    mistakes: tuple[Mistake, ...]
    """Of those that could not be parsed, or not completely."""

    @staticmethod
    def read(paths: Iterable[Path]) -> Files:
        """Each file once; never raises for what is in one."""
        documents: list[Document] = []
        mistakes: list[Mistake] = []
        for path in {path.absolute(): path for path in paths}.values():
            try:
                document = yaml12.read(path)
                mistakes += document.mistakes
                if not isinstance(document.tree, dict):
                    message = f"{show(document.tree)} is not a scenario; a mapping with keys: {', '.join(file_keys())}"
                    mistakes.append(document.mistake((), message))
                else:
                    documents.append(document)
            except ScenarioErrors as error:
                mistakes += error.mistakes
        return Files(tuple(documents), tuple(mistakes))

    def only(self, names: Collection[str]) -> Files:
        """Those with one of these names, as they were given."""
        return replace(self, documents=tuple(document for document in self.documents if document.file in names))

    def variants(self, overrides: Overrides = Overrides()) -> tuple[Variant, ...]:  # noqa: B008  frozen
        """As :func:`load_files`, with the same errors."""
        mistakes = [*self.mistakes, *_same_ids(self.documents)]
        changes = _Changes.read(overrides, self.documents)
        variants: list[Variant] = []
        for document in self.documents:
            found, wrong = _expand(document, changes)
            variants += found
            mistakes += wrong
        if mistakes:
            raise ScenarioErrors(tuple(dict.fromkeys(mistakes)))
        return tuple(variants)


@dataclass(frozen=True)
class _Changes:
    """The overrides, read once for all files."""

    axes: Mapping[str, tuple[matrix.Scalar, ...]]
    axis_settings: tuple[Setting, ...]
    settings: tuple[Setting, ...]

    @staticmethod
    def read(overrides: Overrides, documents: Iterable[Document]) -> _Changes:
        names: dict[str, None] = {}
        for document in documents:
            axes = document.tree.get("matrix")
            names.update(dict.fromkeys(axes if isinstance(axes, dict) else ()))
        settings = read_settings(overrides)
        check_settings(settings, tuple(names))
        axis_settings = tuple(setting for setting in settings if is_axis(setting, tuple(names)))
        return _Changes(
            replaced_axes(overrides, settings, tuple(names)),
            axis_settings,
            tuple(setting for setting in settings if setting not in axis_settings),
        )


def _same_ids(documents: Iterable[Document]) -> Iterator[Mistake]:
    first: dict[str, Document] = {}
    for document in documents:
        name = document.tree.get("id")
        if not isinstance(name, str):
            continue
        if name in first:
            other = first[name]
            yield document.mistake(("id",), f"'{name}' is also the id of {other.file}:{other.spots[('id',)].line}")
        first.setdefault(name, document)


def _expand(document: Document, changes: _Changes) -> tuple[list[Variant], list[Mistake]]:
    axes, wrong_axes = matrix.axes_of(document, changes.axes)
    wrong_axes += matrix.use_mistakes(document)
    mistakes = [*_key_mistakes(document), *_id_mistakes(document), *wrong_axes, *_unfit_axes(document, changes)]
    tree = {key: value for key, value in copy.deepcopy(document.tree).items() if key in file_keys()}
    tree.pop("matrix", None)
    mistakes += mapfile.include(document, tree)
    mistakes += apply_settings(document, tree, changes.settings)
    refused = {(mistake.line, mistake.column) for mistake in document.mistakes}
    variants = []
    for cell in matrix.cells(axes) if not wrong_axes else [matrix.Cell((), ())]:
        variant, found = _variant(document, tree, cell, changes.settings)
        # What the parser refused has become an empty value: one mistake for it is enough.
        mistakes += [mistake for mistake in found if (mistake.line, mistake.column) not in refused]
        if variant is not None:
            variants.append(variant)
    return variants, mistakes


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


def _unfit_axes(document: Document, changes: _Changes) -> Iterator[Mistake]:
    axes = document.tree.get("matrix")
    known = [*(axes if isinstance(axes, dict) else ()), "firmware"]
    for setting in changes.axis_settings:
        if setting.path[0] not in known:
            yield document.mistake(("matrix",), f"has no axis '{setting.path[0]}' ({setting.text})")


def _variant(
    document: Document, tree: Any, cell: matrix.Cell, settings: Sequence[Setting]
) -> tuple[Variant | None, list[Mistake]]:
    values = cell.values
    result = matrix.substitute(tree, values)
    ready = result.tree | {"kernel": values.get("kernel", "none"), "firmware_name": values.get("firmware", "none")}
    scenario, findings = validate(Scenario, ready, lambda: _written(document, result, settings))
    if scenario is not None:
        return Variant(f"{scenario.id}[{cell.label}]", scenario, document.file, document.spots[("id",)].line), []
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
