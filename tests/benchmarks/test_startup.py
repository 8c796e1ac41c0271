"""The benchmark's own arithmetic, and that it measures no error."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks.startup import BenchError, Subject, cpu_s, measure, price_ms, report, write_scenarios
from harness.load import find_files, load_files


def test_made_scenarios_are_right_and_as_many_as_asked_for(tmp_path: Path) -> None:
    write_scenarios(tmp_path, 300)
    found = load_files(find_files(tmp_path / "scenarios"))
    assert len({variant.id for variant in found}) == 300


def test_cpu_time_is_that_of_the_child(tmp_path: Path) -> None:
    busy = Subject("busy", ("-c", "import time\nwhile time.process_time() < 0.3: pass"), tmp_path)
    assert 0.3 <= cpu_s(busy, os.environ) < 5


@pytest.mark.parametrize(("code", "said"), [("import sys; sys.exit(3)", ""), ("print('no')", "yes")])
def test_a_command_that_fails_or_says_something_else_gives_no_figure(tmp_path: Path, code: str, said: str) -> None:
    with pytest.raises(BenchError, match="wrong: ended with"):
        cpu_s(Subject("wrong", ("-c", code), tmp_path, None, said), os.environ)


def test_each_subject_gets_a_figure_a_round_and_the_first_is_not_counted(tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = f"open({str(count)!r}, 'a').write('x')"
    figures = measure([Subject(name, ("-c", code), tmp_path) for name in ("a", "b")], 2, os.environ)
    assert {name: len(seen) for name, seen in figures.items()} == {"a": 2, "b": 2}
    assert len(count.read_text()) == 6


def test_report_has_minimum_median_and_whether_the_aim_is_met() -> None:
    wanted = [Subject("python", (), Path(sys.prefix)), *(Subject(name, (), Path(), 0.5) for name in ("near", "far"))]
    text = report(wanted, {"python": [0.02, 0.04], "near": [0.9, 0.4, 0.6], "far": [0.51, 0.7]})
    rows = [line.split() for line in text.splitlines()[1:]]
    assert rows[0] == ["python", "0.020", "0.030", "1.0"]
    assert rows[1] == ["near", "0.400", "0.600", "20.0", "0.5:", "met"]
    assert rows[2][-2:] == ["0.5:", "MISSED"]


def test_price_compares_minima_and_pairs() -> None:
    assert price_ms([0.300, 0.400, 0.500], [0.310, 0.440, 0.520]) == pytest.approx((10, 20))
