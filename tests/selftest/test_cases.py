"""The damage classes, on records of their real runs: each verdict is right, and another one without its check."""

from __future__ import annotations

import pytest
from support.recorded import NAMES, laid_out

from harness.judge.judge import judge
from harness.model.causes import Cause, Status
from harness.record.store import read_record
from harness.selftest.bench import document, wrong
from harness.selftest.cases import CASES, Case, Expected

RECORDED = [case for case in CASES if f"selftest-{case.name}" in NAMES]


def test_nearly_all_are_recorded() -> None:
    """A killed QEMU, a stopped one and a full disk are among them; what is left out is named here.

    vmcore: a dump is too big for a record in the tree; tests/subjects/kdump/test_memory.py flips one.
    """
    assert {case.name for case in CASES} - {case.name for case in RECORDED} <= {
        "host-clock",
        "vmcore",
    }  # a dump is too big


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case.name)
def test_right_with_its_checks_and_wrong_without(case: Case) -> None:
    record = read_record(laid_out(f"selftest-{case.name}"))
    verdict = judge(record)
    blind = judge(record, without=frozenset(case.detectors)) if case.detectors else None
    assert wrong(case, verdict, blind) == ""
    assert bool(case.detectors) == (case.expected.status is not Status.PASS)


@pytest.mark.parametrize("case", [case for case in RECORDED if case.detectors], ids=lambda case: case.name)
def test_selftest_is_red_when_the_checks_are_switched_off(case: Case) -> None:
    """As ``harness selftest --without CHECK`` does it."""
    record = read_record(laid_out(f"selftest-{case.name}"))
    off = frozenset(case.detectors)
    verdict = judge(record, without=off)
    assert f"expected {case.expected}, got " in wrong(case, verdict, judge(record, without=off))


def test_a_check_that_is_not_the_one_that_sees_it_is_told() -> None:
    case = next(case for case in RECORDED if case.detectors == ("run",))
    verdict = judge(read_record(laid_out(f"selftest-{case.name}")))
    assert "the verdict is the same without run" in wrong(case, verdict, verdict)


def test_expected_looks_at_status_cause_and_epoch() -> None:
    record = read_record(laid_out("selftest-reset"))
    verdict = judge(record)
    assert Expected(Status.FAIL, Cause.RESET, 1).met_by(verdict)
    assert Expected(Status.FAIL, Cause.RESET).met_by(verdict)
    assert not Expected(Status.FAIL, Cause.RESET, 2).met_by(verdict)
    assert not Expected(Status.FAIL, Cause.TRIPLE_FAULT, 1).met_by(verdict)
    assert not Expected(Status.ERROR, Cause.RESET, 1).met_by(verdict)


def test_names_are_unique_and_quick_ones_are_of_every_status() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
    assert {case.expected.status for case in CASES if case.quick} == {Status.PASS, Status.FAIL, Status.ERROR}


@pytest.mark.parametrize("kexec", [False, True])
def test_the_scenario_watches_a_table(kexec: bool) -> None:
    made = document("tiny-6.1", kexec=kexec)
    assert len(made.following) == int(kexec)
    assert len(made.firmware.tables) == 1
