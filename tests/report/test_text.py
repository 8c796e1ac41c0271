"""Verdicts as a person reads them, from real records."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from goldens import TESTDATA, compare
from support.recorded import laid_out

from harness.judge.judge import failed_before_start, judge, refused
from harness.model.causes import Cause, Status
from harness.model.kernel import Capability
from harness.model.record import Phase
from harness.model.verdict import KnownIssue, Verdict
from harness.plan.gate import Refusal
from harness.record.store import read_record
from harness.report import text

REPORTS = TESTDATA / "reports"
WIDTH = 120
KNOWN = KnownIssue(
    scenario="*",
    kernel="debian-*",
    cause=Cause.ESRT_CORRUPT,
    epoch=2,
    reason="kexec-tools places kexec_load segments by /sys/firmware/memmap, where the reservation never arrives.",
    reference="af1648984828",
)
CASES = {
    "pass": ("esrt-kexec-file", None),
    "fail": ("esrt-kexec-load-7.2", None),
    "fail-bgrt": ("bgrt-kexec-load", None),
    "fail-alternate": ("kexec-alternate", None),
    "known": ("esrt-kexec-load-6.1", KNOWN),
    "known-gone": ("esrt-kexec-file", KNOWN),
    "known-other": ("kexec-alternate", KNOWN),
    "unsupported": ("esrt-no-table", None),
    "control": ("esrt-runtime-data", None),
}


def _verdict(name: str, known: KnownIssue | None = None) -> Verdict:
    verdict = judge(read_record(laid_out(name)), () if known is None else (known,))
    return verdict.model_copy(update={"run_dir": f"/srv/harness/runs/{name}"})


def _rendered(case: str) -> str:
    name, known = CASES[case]
    return text.render(_verdict(name, known), read_record(laid_out(name)).plan)


def _error() -> Verdict:
    return failed_before_start("esrt/x[tiny]", "tiny", "qemu-system-x86_64 is not on PATH", "Install qemu-system-x86.")


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    compare(REPORTS / f"{case}.txt", _rendered(case))


def test_golden_error() -> None:
    compare(REPORTS / "error.txt", text.render(_error()))


def test_golden_summary() -> None:
    compare(REPORTS / "summary.txt", text.summary(_many()))


def _many() -> list[Verdict]:
    kernel = read_record(laid_out("esrt-no-table")).plan.epochs[0].kernel
    lacking = refused("bgrt/x[tiny]", "run", [kernel], Refusal("tiny", Capability.BGRT, "CONFIG_ACPI_BGRT is not set"))
    return [*(_verdict(name, known) for name, known in CASES.values()), lacking, _error()]


@pytest.mark.parametrize("path", sorted(REPORTS.glob("*.txt")), ids=lambda path: path.stem)
def test_width(path: Path) -> None:
    """Paths that a person copies are never broken; all else fits a terminal."""
    long = [line for line in path.read_text().splitlines() if len(line) > WIDTH]
    assert [line for line in long if not re.match(r"  (record|judge it again|run it again): ", line)] == []


@pytest.mark.parametrize("path", sorted(REPORTS.glob("*.txt")), ids=lambda path: path.stem)
def test_nothing_is_said_as_python_would(path: Path) -> None:
    assert re.findall(r"\bNone\b|Cause\.|Status\.|<[A-Z]\w+|\bTrue\b|(?<!\w)\(\s*\)", path.read_text()) == []


def test_counts() -> None:
    *_, counts = text.summary(_many()).splitlines()
    assert counts == "1 ERROR, 5 FAIL, 1 KNOWN BUG, 2 PASS, 2 UNSUPPORTED"


def test_what_needs_a_person_comes_first() -> None:
    lines = [line for line in text.summary(_many()).splitlines() if line and line[0] != " "][:-1]
    words = [re.split(r"\s{2,}|(?<=UNSUPPORTED) ", line)[0] for line in lines]
    assert words == ["FAIL"] * 5 + ["ERROR"] + ["UNSUPPORTED"] * 2 + ["PASS"] * 2 + ["KNOWN BUG"]


def test_nothing_was_run() -> None:
    assert text.summary([]) == "\nnothing was run\n"


def test_known_is_said_with_its_reason() -> None:
    out = _rendered("known")
    assert out.startswith("KNOWN BUG   esrt/kexec-load[")
    assert "known: kexec-tools places" in out
    assert "[af1648984828]" in out


def test_hint_only_where_something_is_to_be_done() -> None:
    assert "what to do" not in _rendered("pass")
    assert "what to do" in _rendered("fail")


def test_each_status_has_a_title() -> None:
    for status in Status:
        verdict = _error().model_copy(update={"status": status, "phase": Phase.OFF})
        assert text.headline(verdict).startswith(status.value)
