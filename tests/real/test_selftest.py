"""``harness selftest`` on a kernel of Debian, and its red side: with a check switched off it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import main
from harness.selftest.bench import Bench
from harness.selftest.cases import CASES, Case
from harness.session.prepare import Workshop

from .conftest import KERNEL

QUICK = [case for case in CASES if case.quick]


@pytest.mark.parametrize("case", [*QUICK, *(case for case in CASES if case.name == "agent-lost")], ids=lambda c: c.name)
def test_the_verdict_is_right(case: Case, workshop: Workshop, tmp_path: Path, nothing_left: None) -> None:
    (outcome,) = Bench(workshop, KERNEL, tmp_path).run([case], lambda _outcome: None)
    assert outcome.problem == ""
    assert Path(outcome.run_dir).parent == tmp_path


@pytest.mark.parametrize(("case", "check"), [("reset", "run"), ("old-kernel", "identity"), ("mute", "console")])
def test_red_when_its_check_is_switched_off(
    case: str, check: str, capsys: pytest.CaptureFixture[str], nothing_left: None
) -> None:
    assert main(["selftest", case, "--kernel", KERNEL, "--without", check, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    (found,) = document["cases"]
    assert not found["right"]
    assert found["expected"]["cause"] in found["problem"]
    assert document["wrong"] == 1
