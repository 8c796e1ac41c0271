"""Recorded runs are kept without copies, and laid out as they were written."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path

import pytest
from goldens import TESTDATA

from support import share
from support.recorded import RUNS, SAME, BadSameError, files, laid_out, lay_out, own


def copies(directory: Path) -> list[list[str]]:
    """Files with the same bytes."""
    found = defaultdict(list)
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        found[hashlib.sha256(path.read_bytes()).digest()].append(path.relative_to(directory).as_posix())
    return [names for names in found.values() if len(names) > 1]


def test_no_file_is_there_twice() -> None:
    assert copies(TESTDATA) == [], "python tests/support/share.py"


def test_all_is_as_the_script_would_keep_it() -> None:
    """So that nothing in shared/ is of no run, or of one only."""
    kept = share.kept(share.runs(TESTDATA), share.pool(TESTDATA))
    there = {
        path.relative_to(TESTDATA).as_posix(): path.read_bytes()
        for directory in (*share.directories(TESTDATA), "shared")
        for path in own(TESTDATA / directory).values()
    }
    assert {name for name, data in kept.files.items() if there.get(name) != data} == set()
    assert there.keys() - kept.files.keys() == set()
    for directory, text in kept.same.items():
        assert (TESTDATA / directory / SAME).read_text(encoding="utf-8") == text


# A small testdata of its own

FIRST = {"console.log": b"one", "samples/0-handoff-esrt.bin": b"table", "samples/1-up-esrt.bin": b"table"}
SECOND = {"console.log": b"two", "samples/0-handoff-esrt.bin": b"table", "samples/0-handoff-copy.bin": b"table"}


@pytest.fixture
def testdata(tmp_path: Path) -> Path:
    for name, run in (("first", FIRST), ("second", SECOND)):
        for file, data in run.items():
            path = tmp_path / "testdata" / "runs" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return tmp_path / "testdata"


def whole(directory: Path) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in files(directory).items()}


def test_shared_and_laid_out_again(testdata: Path, tmp_path: Path) -> None:
    assert copies(testdata) != []
    share.share(testdata)
    assert copies(testdata) == []
    (shared,) = (testdata / "shared").iterdir()
    assert (shared.name.partition("-")[0], shared.suffix) == ("esrt", ".bin")
    assert (testdata / "runs/first" / SAME).read_text().splitlines()[1:] == [
        f"samples/0-handoff-esrt.bin = shared/{shared.name}",
        "samples/1-up-esrt.bin = samples/0-handoff-esrt.bin",
    ]
    for name, run in (("first", FIRST), ("second", SECOND)):
        assert whole(testdata / "runs" / name) == run
        lay_out(testdata / "runs" / name, tmp_path / name)
        assert {path.relative_to(tmp_path / name).as_posix() for path in own(tmp_path / name).values()} == set(run)


def test_what_only_one_run_has_goes_back_to_it(testdata: Path) -> None:
    share.share(testdata)
    for path in sorted((testdata / "runs/second").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    share.share(testdata)
    assert list((testdata / "shared").iterdir()) == []
    assert (testdata / "runs/first/samples/0-handoff-esrt.bin").read_bytes() == b"table"
    assert whole(testdata / "runs/first") == FIRST


def test_a_shared_file_keeps_its_name(testdata: Path) -> None:
    """Else every run that comes would rename it in all others."""
    share.share(testdata)
    (before,) = (testdata / "shared").iterdir()
    for number in range(5):
        path = testdata / f"runs/more-{number}/samples/0-handoff-bgrt.bin"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"table")
    share.share(testdata)
    assert [path.name for path in (testdata / "shared").iterdir()] == [before.name]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("samples/1-up-esrt.bin shared/x", r"same\.txt:2: .* is not 'FILE = FILE'"),
        ("console.log = samples/0-handoff-esrt.bin", r"same\.txt:2: console\.log is there already"),
        ("samples/9.bin = shared/nothing", r"same\.txt:2: shared/nothing does not exist"),
        ("samples/9.bin = ../second/console.log", r"same\.txt:2: \.\./second/console\.log is neither in shared/ nor"),
        ("samples/9.bin = samples/8.bin", r"same\.txt:2: samples/8\.bin is neither in shared/ nor"),
    ],
)
def test_a_line_that_cannot_be_followed(testdata: Path, line: str, words: str) -> None:
    (testdata / "runs/first" / SAME).write_text(f"# first\n{line}\n")
    with pytest.raises(BadSameError, match=words):
        files(testdata / "runs/first")


def test_a_run_is_laid_out_once() -> None:
    assert laid_out("esrt-kexec-file") is laid_out("esrt-kexec-file")
    assert set(own(laid_out("esrt-kexec-file"))) == set(files(RUNS / "esrt-kexec-file"))
