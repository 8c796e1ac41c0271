"""A damaged record is never a PASS and never a traceback, whichever of its files is damaged."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.recorded import laid_out
from support.records import Copy

from harness.cli import main
from harness.errors import InputError
from harness.judge.judge import judge
from harness.model.causes import Cause, Status
from harness.model.verdict import Verdict
from harness.record.store import read_record

CopyOf = Callable[[str], Copy]
PASSED = ("esrt-kexec-file", "esrt-runtime-data", "kexec-add-efi-memmap")


def _files(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


def _read_by_the_judge(directory: Path) -> set[str]:
    """Every file that a verdict is made from, as seen by looking over the judge's shoulder."""
    record = read_record(directory)
    seen = {"plan.json", "journal.jsonl", "end.json"}

    def read(name: str) -> bytes:
        seen.add(name)
        return record.read(name)

    judge(dataclasses.replace(record, read=read))
    return seen


def _judged(copy: Copy) -> Verdict | None:
    """The verdict, or None when the record was refused in words."""
    try:
        return copy.judge(seal=False)
    except InputError:
        return None


@pytest.mark.parametrize("name", PASSED)
def test_what_the_judge_does_not_read(name: str) -> None:
    """A list of its own, so that a check that stops to read its evidence is seen."""
    unread = set(_files(laid_out(name))) - _read_by_the_judge(laid_out(name))
    assert unread
    others = {
        file
        for file in unread
        if not re.fullmatch(r"facts/\d+-\d-(bgrt|memmap|runtime-map|iomem|loaded|cmdline)|qemu\.stderr", file)
    }
    assert others == set()


@pytest.mark.parametrize("name", PASSED)
def test_no_evidence_no_pass(copy_of: CopyOf, name: str) -> None:
    """Each file in turn is deleted, emptied, cut in the middle, and cut by one byte."""
    copy = copy_of(name)
    evidence = _read_by_the_judge(copy.path)
    assert len(evidence) > 20
    wrong = []
    for file in _files(copy.path):
        path = copy.path / file
        whole = path.read_bytes()
        for damaged in (None, b"", whole[: len(whole) // 2], whole[:-1]):
            if damaged is None:
                path.unlink()
            elif damaged == whole:
                continue
            else:
                path.write_bytes(damaged)
            verdict = _judged(copy)
            passed = verdict is not None and verdict.status is Status.PASS
            harmless = file not in evidence or (file == "end.json" and damaged == whole[:-1])
            if passed != harmless:
                wrong.append(f"{file} {'deleted' if damaged is None else len(damaged)}: {verdict and verdict.headline}")
        path.write_bytes(whole)
    assert wrong == []
    assert copy.judge(seal=False).status is Status.PASS


@pytest.mark.parametrize("name", PASSED[:1])
def test_cut_journal_of_a_killed_harness(copy_of: CopyOf, name: str) -> None:
    """Cut at every line, and in the middle of it; and with an end.json that knows no hashes, as old records have."""
    copy = copy_of(name).edit_json("end.json", files={})
    lines = (copy.path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    needed = max(n for n, line in enumerate(lines) if b'"type":"sample"' in line)
    for count in range(needed + 1):
        for rest in (b"", lines[count][: len(lines[count]) // 2]):
            (copy.path / "journal.jsonl").write_bytes(b"".join(lines[:count]) + rest)
            verdict = copy.judge(seal=False)
            assert verdict.status is Status.ERROR, f"{count} lines: {verdict.headline}"
            assert verdict.cause in (Cause.MISSING_REPORT, Cause.NO_OVERLAP), verdict.headline


def test_journal_with_other_line_separators(copy_of: CopyOf) -> None:
    """A console or command line may hold U+2028 or U+0085; they end no line of the journal."""
    copy = copy_of(PASSED[0])
    path = copy.path / "journal.jsonl"
    note = '{"type":"note","t_s":1.0,"epoch":1,"text":"a\u2028b\u0085c"}\n'
    path.write_text(path.read_text(encoding="utf-8") + note, encoding="utf-8")
    verdict = copy.judge()
    assert verdict.status is Status.PASS
    assert verdict.notes == ("a\u2028b\u0085c",)


@pytest.mark.parametrize("damage", [b"\xff\xfe{}", b"\x00" * 100, b"{}\n{}\n", b"[1]\n\n"])
def test_journal_of_another_kind(copy_of: CopyOf, damage: bytes) -> None:
    copy = copy_of(PASSED[0])
    path = copy.path / "journal.jsonl"
    path.write_bytes(damage + b"\n" + path.read_bytes())
    verdict = copy.judge()
    assert (verdict.status, verdict.cause) == (Status.ERROR, Cause.BAD_RECORD)
    assert "journal.jsonl:1: not a journal entry" in verdict.headline


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[: len(text) // 2], "not a plan of this version of harness"),
        (lambda text: "", "not a plan of this version of harness"),
        (lambda text: "[]", "not a plan of this version of harness"),
        (lambda text: text.replace('"epochs"', '"epoch"'), "not a plan of this version of harness"),
        (
            lambda text: text.replace('"format": 1', '"format": 2', 1),
            "a record of format 2; this harness reads format 1",
        ),
        (lambda text: text.replace('"format": 1,', "", 1), "a record of format None"),
    ],
    ids=["cut", "empty", "list", "other-key", "format-2", "no-format"],
)
def test_damaged_plan_is_bad_input(
    copy_of: CopyOf, damage: Callable[[str], str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = copy_of(PASSED[0])
    plan = copy.read("plan.json")
    (copy.path / "plan.json").write_text(damage(plan))
    assert main(["judge", str(copy.path)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "plan.json" in error
    assert "Traceback" not in error
    assert not (copy.path / "verdict.json").exists()


@pytest.mark.parametrize("place", ["nothing-here", "plan.json"])
def test_no_run_directory(copy_of: CopyOf, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", str(copy_of(PASSED[0]).path / place)]) == 2
    assert place in capsys.readouterr().err


def test_edited_plan_is_a_bad_record(copy_of: CopyOf) -> None:
    """An expectation that was taken out after the run must not make it pass."""
    copy = copy_of("esrt-kexec-load-6.1")
    plan = copy.json("plan.json")
    plan["scenario"]["expect"] = [{"no_crash": True}]
    verdict = copy.edit_json("plan.json", scenario=plan["scenario"]).judge(seal=False)
    assert (verdict.status, verdict.cause) == (Status.ERROR, Cause.BAD_RECORD)
    assert "plan.json: is not what it was when the run ended" in verdict.headline


def test_old_record_without_hashes_is_still_judged(copy_of: CopyOf) -> None:
    copy = copy_of(PASSED[0])
    end = copy.json("end.json")
    del end["files"]
    (copy.path / "end.json").write_text(json.dumps(end))
    assert copy.judge(seal=False).status is Status.PASS


def test_judge_twice_by_the_command_line(copy_of: CopyOf, capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict is put beside the record, and is not evidence for the next one."""
    copy = copy_of(PASSED[0])
    texts = []
    for _ in range(2):
        assert main(["judge", str(copy.path), "--no-known-issues"]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert (copy.path / "verdict.txt").read_text() in texts[0]


def test_red_on_the_command_line(copy_of: CopyOf, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", str(copy_of("esrt-kexec-load-6.1").path), "--no-known-issues"]) == 1
    out = capsys.readouterr().out
    for words in (
        "esrt-corrupt",
        "segment[3] (initrd) 0x38938000-0x3b5fffff",
        "0x39fff100",
        "esrt: Unsupported ESRT version 8624708946181050440.",
    ):
        assert words in re.sub(r"\s+", " ", out)
