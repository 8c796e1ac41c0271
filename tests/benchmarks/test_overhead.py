"""The benchmark's own arithmetic, and its bare side against a fake QEMU."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from benchmarks import overhead
from benchmarks.overhead import BenchError, HarnessTime, bare_time, report
from harness.model.plan import Plan

ROOT = Path(__file__).parents[2]
# Plays the EFI agent and the guest: answers the first byte only when it comes a second time, as firmware may take one.
FAKE = f"""#!{sys.executable}
import re, socket, sys
sys.path.insert(0, {str(ROOT)!r})
from harness.machine.frame import Frame, encode
com2 = socket.socket(fileno=int(re.search(r"id=com2,fd=(\\d+)", " ".join(sys.argv))[1]))
assert open(sys.argv[1] + "/vars.fd").read() == "variables" and open(sys.argv[1] + "/fw_cfg-plan").read() == "plan"
def say(kind, nonce): com2.sendall(b"noise" + encode(Frame(nonce, 1, kind)))
say("ready", "00000000")
assert com2.recv(1) + com2.recv(1) == b"GG"
say("go", "00000000")
say("handoff", "1a2b3c4d")
byte = com2.recv(1)
while byte == b"G": byte = com2.recv(1)
assert byte == b"S"
say("start", "1a2b3c4d")
say("up", "{{nonce}}")
com2.recv(1)
"""


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(overhead, "make_varstore", lambda _firmware, path: path.write_text("variables"))
    monkeypatch.setattr(overhead, "input_files", lambda _plan: {"fw_cfg-plan": b"plan"})
    qemu = tmp_path / "qemu"
    return cast(Plan, SimpleNamespace(argv=(str(qemu), "{run}"), nonce="1a2b3c4d", firmware=None))


def fake_qemu(plan: Plan, script: str) -> None:
    path = Path(plan.argv[0])
    path.write_text(script)
    path.chmod(0o755)


def test_bare_side_plays_the_host_to_the_marker(plan: Plan) -> None:
    fake_qemu(plan, FAKE.format(nonce="1a2b3c4d"))
    assert 0.1 <= bare_time(plan, 20) < 20


def test_marker_of_another_run_does_not_count(plan: Plan) -> None:
    fake_qemu(plan, FAKE.format(nonce="ffffffff"))
    with pytest.raises(BenchError, match="did not come to 'up'"):
        bare_time(plan, 1.5)


def test_qemu_that_ends_gives_no_figure(plan: Plan) -> None:
    fake_qemu(plan, "#!/bin/sh\nexit 0\n")
    with pytest.raises(BenchError):
        bare_time(plan, 20)


def test_harness_that_comes_to_no_marker_gives_no_figure(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="ended with 2 and no marker"):
        overhead.harness_time(tmp_path / "none.yaml", tmp_path / "runs", [])


def test_report_compares_medians_and_shows_the_range() -> None:
    runs = [HarnessTime(seconds, seconds + 2, Path("r")) for seconds in (11.0, 10.5, 14.0)]
    text = report(runs, [10.0, 10.0, 10.0])
    assert "ratio of medians 1.100, of pairs 1.050 to 1.400 (aim: 1.05 or less: missed)" in text
    assert "min  10.50  median  11.00  max  14.00" in text
    assert "min   2.00  median   2.00  max   2.00" in text


def test_report_says_when_the_aim_is_reached() -> None:
    assert "reached" in report([HarnessTime(10.4, 12.0, Path("r"))], [10.0])
