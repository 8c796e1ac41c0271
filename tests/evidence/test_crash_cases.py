"""Crash reports, one a file in tests/testdata/crash: header lines, an empty line, the console.

``none-*.txt`` hold nothing that is a crash. HARNESS_UPDATE=1 writes the headers again, and still fails.
"""

from pathlib import Path

import pytest
from goldens import TESTDATA, compare

from harness.evidence import crash

CASES = sorted((TESTDATA / "crash").glob("*.txt"))
CRASHES = [path for path in CASES if not path.name.startswith("none-")]
NEGATIVES = [path for path in CASES if path.name.startswith("none-")]


def log_of(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("\n\n")[2] if path in CRASHES else _negative(path)


def _negative(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("\n"), "a negative has no header"
    return text[1:]


def report_of(path: Path) -> crash.Report:
    report = crash.first(log_of(path).encode())
    assert report is not None
    return report


def test_there_are_enough_cases():
    assert len(CRASHES) >= 60
    assert len(NEGATIVES) >= 15


@pytest.mark.parametrize("path", CRASHES, ids=lambda path: path.stem)
def test_report(path: Path):
    report = report_of(path)
    header = [f"TITLE: {report.title}", f"KIND: {report.kind} {report.severity}"]
    header += [f"FRAME: {report.frame}"] if report.frame else []
    header += [f"CORRUPTED: {report.corrupted}"] if report.corrupted else []
    compare(path, "\n".join(header) + "\n\n" + log_of(path))


@pytest.mark.parametrize("path", NEGATIVES, ids=lambda path: path.stem)
def test_nothing_is_found(path: Path):
    assert crash.first(log_of(path).encode()) is None


@pytest.mark.parametrize("path", CRASHES, ids=lambda path: path.stem)
def test_the_bounds_are_those_of_the_report(path: Path):
    data = log_of(path).encode()
    report = report_of(path)
    assert 0 <= report.start < report.end <= len(data)
    again = crash.first(data[report.start :])
    assert again is not None
    assert (again.title, again.start, again.signature) == (report.title, 0, report.signature)
    after = crash.first(data[report.end :])
    assert after is None or after.title != report.title


@pytest.mark.parametrize("path", CRASHES, ids=lambda path: path.stem)
def test_a_report_cut_anywhere_is_no_error_and_begins_at_the_same_place(path: Path):
    data = log_of(path).encode()
    start = report_of(path).start
    for end in range(start, len(data), 61):
        cut = crash.first(data[:end])
        assert cut is None or start <= cut.start < cut.end <= end


@pytest.mark.parametrize("path", CRASHES, ids=lambda path: path.stem)
def test_the_place_in_the_log_moves_with_what_stands_before(path: Path):
    before = b"[    0.000000] Linux version 6.1.0\r\n" * 9000
    report = report_of(path)
    moved = crash.first(before + log_of(path).encode())
    assert moved is not None
    assert (moved.start, moved.end) == (report.start + len(before), report.end + len(before))
    assert (moved.title, moved.signature) == (report.title, report.signature)
