"""Scenario files to variants: every mistake of every file at once, or all variants."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import InputError, Mistake, ScenarioErrors
from harness.load.expand import Changes, expand, file_keys
from harness.load.matrix import Scalar
from harness.load.overrides import Overrides
from harness.load.reading import yaml12
from harness.load.reading.document import Document
from harness.load.reading.words import show
from harness.model.scenario import Scenario


@dataclass(frozen=True)
class Variant:
    """One scenario with one point of its matrix: what is run."""

    id: str
    """``esrt/kexec-file[debian-6.1-cloud,ovmf-x64]``: kernel, firmware, then further axes as in the file."""
    scenario: Scenario
    file: str
    line: int
    """The line of ``id`` in the file, from 1."""
    axes: tuple[tuple[str, Scalar], ...] = ()
    """Its point of the matrix: the axes in the order of the id, each with its value."""


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
        changes = Changes.read(overrides, self.documents)
        variants: list[Variant] = []
        for document in self.documents:
            found, wrong = expand(document, changes)
            line = document.spots[("id",)].line if found else 0
            variants += [
                Variant(f"{one.id}[{cell.label}]", one, document.file, line, tuple(cell.values.items()))
                for cell, one in found
            ]
            mistakes += wrong
        if mistakes:
            raise ScenarioErrors(tuple(dict.fromkeys(mistakes)))
        return tuple(variants)


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
