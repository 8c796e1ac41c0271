"""The wording that is kept is of tests that there are, and another one is red."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from harness.model.causes import Cause, Status
from harness.model.verdict import Check, Evidence
from support.words import WORDS, Notes, compare, home, sections

CHECK = Check(
    name="tpm",
    status=Status.ERROR,
    cause=Cause.MISSING_REPORT,
    summary="nothing was\nreported",
    evidence=(Evidence(text="a line", where="console.log:3"), Evidence(text="another")),
    hint="Look.",
)
TEXT = """\
tpm: ERROR missing-report
  nothing was
  reported
  * a line @console.log:3
  * another
  > Look.
"""


def test_what_is_kept_is_of_a_test() -> None:
    kept = sorted(WORDS.rglob("*.txt"))
    assert kept
    modules = {home(path): path for path in WORDS.parents[1].rglob("test_*.py")}
    for path in kept:
        tree = ast.parse(modules[path].read_text(encoding="utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert {section.partition("[")[0] for section in sections(path)} - names == set(), path


def test_a_note_is_given_back_and_made_once() -> None:
    notes = Notes()
    assert notes(notes(CHECK)) is CHECK
    assert notes.texts == [TEXT]


def test_the_same_words(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(f"== test_a\nother\n\n== test_b[1]\n{TEXT}")
    compare(tmp_path / "x.txt", "test_b[1]", TEXT)
    assert sections(tmp_path / "x.txt") == {"test_a": "other\n", "test_b[1]": TEXT}


@pytest.mark.parametrize("test", ["test_a", "test_c"])
def test_other_words_are_red_and_stay(tmp_path: Path, test: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_UPDATE", raising=False)
    kept = "== test_a\nother\n"
    (tmp_path / "x.txt").write_text(kept)
    with pytest.raises(AssertionError, match="HARNESS_UPDATE=1 writes it"):
        compare(tmp_path / "x.txt", test, TEXT)
    assert (tmp_path / "x.txt").read_text() == kept


def test_an_update_is_red_once_and_touches_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_UPDATE", "1")
    (tmp_path / "x.txt").write_text("== test_b\nother\n")
    with pytest.raises(pytest.fail.Exception, match="was written again"):
        compare(tmp_path / "x.txt", "test_a", TEXT)
    assert sections(tmp_path / "x.txt") == {"test_a": TEXT, "test_b": "other\n"}
    compare(tmp_path / "x.txt", "test_a", TEXT)
