"""Kernels and hypervisors that a scenario names and the registry has not: told at the place where the name stands.

Only the names are read here: what an entry means is for harness.kernel, whose import costs more than all of ``check``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import Mistake, ScenarioErrors
from harness.load.reading import yaml12
from harness.load.reading.document import Document
from harness.load.reading.words import allowed, did_you_mean
from harness.load.scenarios import Variant

_HYPERVISOR = "hypervisor"


@dataclass(frozen=True)
class Names:
    """What ``kernels/*.yaml`` names."""

    kernels: tuple[str, ...]
    hypervisors: tuple[str, ...]


def registry_names(directory: Path) -> Names | None:
    """The names of a registry; None where there is none to look into. A broken entry is left to ``kernels list``."""
    if not directory.is_dir():
        return None
    kinds: dict[str, str] = {}
    for path in sorted(directory.glob("*.yaml")):
        try:
            tree = yaml12.read(path).tree
        except ScenarioErrors:
            continue
        if isinstance(tree, dict) and isinstance(tree.get("name"), str):
            kinds[tree["name"]] = str(tree.get("kind"))
    return Names(
        tuple(name for name, kind in kinds.items() if kind != _HYPERVISOR),
        tuple(name for name, kind in kinds.items() if kind == _HYPERVISOR),
    )


def unknown(documents: Sequence[Document], variants: Sequence[Variant], names: Names) -> Iterator[Mistake]:
    """Each name of each file that is neither in the registry nor a path, once."""
    by_file = {document.file: document for document in documents}
    asked: dict[tuple[str, str, bool], None] = {}
    for variant in variants:
        hypervisor = variant.scenario.hypervisor
        asked |= {(variant.file, name, False): None for name in variant.scenario.kernels if not _is_path(name)}
        if hypervisor is not None:
            asked[variant.file, hypervisor.name, True] = None
    for file, name, is_hypervisor in asked:
        known, others = (names.hypervisors, names.kernels) if is_hypervisor else (names.kernels, names.hypervisors)
        if name in known:
            continue
        what = "hypervisor" if is_hypervisor else "kernel"
        other = "kernel" if is_hypervisor else "hypervisor"
        said = f"'{name}' is a {other}, not a {what}" if name in others else f"there is no {what} '{name}'"
        paths = "" if is_hypervisor else ", or the path of a bzImage or a .deb"
        message = f"{said}; {allowed(known)}{paths}{did_you_mean(name, known)}"
        document = by_file[file]
        place = next((path for path, text in document.written.items() if text == name), ())
        yield document.mistake(place, message)


def _is_path(name: str) -> bool:
    return "/" in name or name.endswith(".deb") or os.path.exists(name)
