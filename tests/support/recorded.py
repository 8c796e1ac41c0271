"""Recorded runs: kept without copies, laid out for whoever reads them.

A run's directory under testdata holds its own files. ``same.txt`` beside them says of every other file of the run where
its bytes are, a line each::

    # runs/esrt-kexec-file: its files whose bytes are kept elsewhere
    samples/0-handoff-esrt.bin = shared/esrt-83ab9c1e.bin
    samples/1-up-esrt.bin = samples/0-handoff-esrt.bin

``shared/`` is testdata's own directory, for what several runs have; any other name is a file of the same run. Nothing
reads a run directory under testdata itself: ``laid_out`` gives the whole of one, ``files`` where the bytes lie.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from goldens import TESTDATA

RUNS, KDUMPS = TESTDATA / "runs", TESTDATA / "kdump"
NAMES = sorted(path.name for path in RUNS.iterdir())
SAME, SHARED = "same.txt", "shared"
BESIDE = (SAME, "expected.json")
"""What lies in a run's directory under testdata and is no file of the run."""


class BadSameError(ValueError):
    """A line of a ``same.txt`` that cannot be followed: where it is, what it says, what it must be."""


def own(directory: Path) -> dict[str, Path]:
    """The files of a run that lie in its own directory, by their names in it."""
    found = (path for path in sorted(directory.rglob("*")) if path.is_file() and path.name not in BESIDE)
    return {path.relative_to(directory).as_posix(): path for path in found}


def files(directory: Path) -> dict[str, Path]:
    """Every file of a run by its name in the run directory, and where its bytes lie.

    Raises:
        BadSameError: ``same.txt`` names a file twice, or one that is not there.
    """
    found = own(directory)
    for where, name, target in _same(directory / SAME):
        if name in found:
            raise BadSameError(f"{where}: {name} is there already; a file has one place")
        if target.startswith(f"{SHARED}/"):
            path = directory.parents[1] / target
        elif target in found:
            path = found[target]
        else:
            raise BadSameError(f"{where}: {target} is neither in {SHARED}/ nor a file of this run named above")
        if not path.is_file():
            raise BadSameError(f"{where}: {target} does not exist; 'python tests/support/share.py' writes {SAME}")
        found[name] = path
    return found


def _same(path: Path) -> Iterator[tuple[str, str, str]]:
    """Where each line stands, and what it equates."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            continue
        name, equals, target = line.partition(" = ")
        if not (name and equals and target):
            raise BadSameError(f"{path}:{number}: {line!r} is not 'FILE = FILE'")
        yield f"{path}:{number}", name, target


def read(name: str, file: str) -> bytes:
    """A file of a recorded run."""
    return files(RUNS / name)[file].read_bytes()


def lay_out(directory: Path, target: Path) -> None:
    """Copy a whole run, as the harness wrote it, to a directory that does not exist yet."""
    target.mkdir(parents=True)
    for folder in ("facts", "samples"):
        (target / folder).mkdir()
    for name, path in files(directory).items():
        shutil.copyfile(path, target / name)


@functools.cache
def laid_out(name: str) -> Path:
    """The directory of a recorded run, to be read only: laid out once for all tests. Copy is for edits."""
    target = Path(_place().name, name)
    lay_out(RUNS / name, target)
    return target


@functools.cache
def _place() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="harness-recorded-")
