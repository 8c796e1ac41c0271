"""Keep the recorded runs without copies of a file, or lay one of them out to be looked at.

    python tests/support/share.py
    python tests/support/share.py tests/testdata/runs/NAME DIRECTORY

The first takes every file that is there twice out of the run directories: into shared/ where several runs have it. It
says in each run's same.txt where the bytes are (recorded.py has the form), and may be given as often as one likes. The
second writes the whole run into a new directory, for ``harness judge`` and everything else that reads one.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from goldens import TESTDATA

from support.recorded import SAME, SHARED, files, lay_out, own

KINDS = ("runs", "kdump")
DIGEST_CHARS = 8
HEAD = "# {run}: its files whose bytes are kept elsewhere\n"

Runs = Mapping[str, Mapping[str, bytes]]
"""The files of each run, by the run's directory (``runs/NAME``) and their names in it."""


@dataclass(frozen=True)
class Kept:
    """What lies in testdata: files by their paths in it, and each run's ``same.txt``."""

    files: dict[str, bytes]
    same: dict[str, str]


def main() -> None:
    """Share, or lay out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("target", type=Path, nargs="?")
    options = parser.parse_args()
    if options.run is None:
        share(TESTDATA)
    elif options.target is None or options.target.exists():
        parser.error("a run is laid out in a directory that does not exist yet: RUN DIRECTORY")
    else:
        lay_out(options.run.resolve(), options.target)


def share(testdata: Path) -> None:
    """Keep each file once."""
    wanted = kept(runs(testdata), pool(testdata))
    for directory in directories(testdata):
        for path in own(testdata / directory).values():
            if path.relative_to(testdata).as_posix() not in wanted.files:
                path.unlink()
    for path in (testdata / SHARED).glob("*"):
        if path.relative_to(testdata).as_posix() not in wanted.files:
            path.unlink()
    for name, data in wanted.files.items():
        (testdata / name).parent.mkdir(parents=True, exist_ok=True)
        (testdata / name).write_bytes(data)
    for directory in directories(testdata):
        same = testdata / directory / SAME
        same.unlink(missing_ok=True)
        if directory in wanted.same:
            same.write_text(wanted.same[directory], encoding="utf-8")


def directories(testdata: Path) -> list[str]:
    """Every recorded run."""
    return sorted(f"{kind}/{path.name}" for kind in KINDS for path in (testdata / kind).glob("*") if path.is_dir())


def runs(testdata: Path) -> Runs:
    """Every recorded run, whole."""
    return {
        directory: {name: path.read_bytes() for name, path in files(testdata / directory).items()}
        for directory in directories(testdata)
    }


def pool(testdata: Path) -> dict[bytes, str]:
    """What is shared already keeps its name."""
    return {path.read_bytes(): path.name for path in sorted((testdata / SHARED).glob("*"))}


def kept(whole: Runs, named: Mapping[bytes, str]) -> Kept:
    """Each content in one place only: with the first file of the only run that has it, or in shared/."""
    owners: dict[bytes, set[str]] = defaultdict(set)
    names: dict[bytes, Counter[str]] = defaultdict(Counter)
    for directory, run in whole.items():
        for name, data in run.items():
            owners[data].add(directory)
            names[data][subject(name)] += 1
    found, same = Kept({}, {}), defaultdict(list)
    for directory, run in whole.items():
        first: dict[bytes, str] = {}
        for name in sorted(run):
            data = run[name]
            if data in first:
                same[directory].append((name, first[data]))
            elif len(owners[data]) > 1:
                shared = f"{SHARED}/{named.get(data) or _name(data, names[data])}"
                found.files[shared] = data
                same[directory].append((name, shared))
            else:
                found.files[f"{directory}/{name}"] = data
            first.setdefault(data, name)
    for run, lines in same.items():
        found.same[run] = HEAD.format(run=run) + "".join(f"{name} = {place}\n" for name, place in lines)
    return found


def subject(name: str) -> str:
    """What a file is of, without its number, epoch and border: ``samples/1-up-esrt.bin`` is ``esrt.bin``."""
    folder, _, base = name.rpartition("/")
    return base.split("-", 2)[-1] if folder else base


def _name(data: bytes, subjects: Counter[str]) -> str:
    """A name in shared/: what most call it, and the beginning of its SHA-256."""
    most = min(subjects, key=lambda item: (-subjects[item], item))
    stem, dot, ending = most.partition(".")
    return f"{stem}-{hashlib.sha256(data).hexdigest()[:DIGEST_CHARS]}{dot}{ending}"


if __name__ == "__main__":
    main()
