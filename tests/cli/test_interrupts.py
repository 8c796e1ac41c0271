"""Ctrl-C, SIGTERM, SIGHUP and SIGKILL to a real ``harness`` process, in every phase.

Whenever it comes: exit 130, one message, a record and a verdict for what had begun, and no program left.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
from fakes import fake_guest as guest
from fakes.fake_guest import script
from fakes.fake_host import FakeHost, finish, until

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP

# phase in the journal: what the fake QEMU plays before it falls silent
_TO_SPACE = [*guest.ready(), *guest.agent(), *guest.start(), *guest.up(1)]
_PHASES: dict[str, guest.Steps] = {
    "firmware": [],
    "agent": guest.ready(),
    "kernel": [*guest.ready(), *guest.agent(), *guest.start()],
    "userspace": [*_TO_SPACE[:-1]],
    "kexec load": [*_TO_SPACE, {"wait_frame": "load"}],
    "kexec jump": [*_TO_SPACE, *guest.load(), *guest.leave()],
}


def _in_phase(host: FakeHost, phase: str, count: int = 1) -> Callable[[], bool]:
    def reached() -> bool:
        journals = [run / "journal.jsonl" for run in host.runs]
        return sum(f'"phase":"{phase}"' in path.read_text() for path in journals if path.exists()) == count

    return reached


def _stopped(host: FakeHost, runs: int = 1) -> None:
    """Every run has its end and its verdict, and nothing runs any more."""
    assert len(host.runs) == runs
    for run in host.runs:
        assert json.loads((run / "end.json").read_text())["kind"] == "interrupted"
        verdict = json.loads((run / "verdict.json").read_text())
        assert (verdict["status"], verdict["cause"]) == ("ERROR", "interrupted")
        assert (run / "verdict.txt").read_text().startswith("ERROR ")
    until(lambda: not host.machines(), "QEMU ends with the harness", 2)


@pytest.mark.parametrize(("phase", "number"), [*zip(_PHASES, [INT, INT, TERM, INT, HUP, INT], strict=True)])
def test_stopped_in_each_phase(host: FakeHost, phase: str, number: signal.Signals) -> None:
    host.play(script(_PHASES[phase]))
    process = host.start("run", "--json", "out.json")
    until(_in_phase(host, phase), f"the phase {phase}")
    done = finish(process, number)
    assert done.status == 130, done
    assert done.message == "harness: stopped on request; 1 of 1 runs have a record in runs"
    assert "stopped on request" in done.out
    _stopped(host)
    assert json.loads((host.runs[0] / "end.json").read_text())["phase"] == phase
    document = json.loads((host.root / "cwd/out.json").read_text())
    assert [verdict["cause"] for verdict in document["verdicts"]] == ["interrupted"]
    assert (document["exit"], document["not_run"], document["error"]) == (130, [], None)


# Says when main() begins to import, which is the first thing that it does once it heeds signals.
IN_MAIN = """
import sys
class Told:
    def find_spec(self, name, path=None, target=None):
        if name == "harness.cli.dispatch":
            print("in", flush=True)
sys.meta_path.insert(0, Told())
from harness.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8])
@pytest.mark.parametrize("numbers", [(INT,), (INT, INT), (TERM, INT)], ids=["once", "twice", "both"])
def test_in_the_first_second(host: FakeHost, after_s: float, numbers: tuple[signal.Signals, ...]) -> None:
    """While modules are imported, scenarios are loaded, the host is looked at."""
    host.play(script(_PHASES["firmware"]))
    process = host.start("run", code=IN_MAIN)
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(after_s)
    done = finish(process, *numbers)
    assert done.status == 130, done
    assert done.message.splitlines()[-1].startswith("harness: stopped on request")


def test_what_was_not_run_is_listed(host: FakeHost) -> None:
    for name in ("two", "three"):
        host.scenario(f"fake/{name}")
    host.play(script(_PHASES["kernel"]))
    process = host.start("run", "-j1", "--repeat", "2", "--json", "out.json")
    until(_in_phase(host, "kernel"), "a run in the phase kernel")
    done = finish(process, INT)
    document = json.loads((host.root / "cwd/out.json").read_text())
    ran = [verdict["variant"] for verdict in document["verdicts"]]
    assert (done.status, document["exit"], len(ran)) == (130, 130, 1)
    every = [f"fake/{name}[fake,ovmf-x64]" for name in ("one", "one", "three", "three", "two", "two")]
    assert sorted([*ran, *document["not_run"]]) == every
    assert "1 ERROR, 5 not run" in done.out


def test_a_file_of_an_earlier_run_does_not_stay(host: FakeHost) -> None:
    (host.root / "cwd/out.json").write_text('{"exit": 0}')
    mark = _hanging(host, "clang")
    process = host.start("run", "--json", "out.json")
    until(mark.exists, "clang is started")
    assert finish(process, INT).status == 130
    document = json.loads((host.root / "cwd/out.json").read_text())
    assert (document["exit"], document["verdicts"], document["error"]) == (130, [], "stopped on request")
    assert document["not_run"] == ["fake/one[fake,ovmf-x64]"]


class _Dying:
    """Ctrl-C comes while it is taken away, where Python drops exceptions."""

    def __del__(self) -> None:
        signal.raise_signal(INT)


def test_an_interrupt_in_a_destructor_is_not_lost(host: FakeHost) -> None:
    def dies(*_arguments: object) -> None:
        _Dying()
        threading.Event().wait(10)
        raise AssertionError("nothing stopped it")

    before = signal.getsignal(INT)
    with patch("harness.cli.scenarios.find_files", side_effect=dies):
        done = host.harness("check")
    assert (done.status, done.message) == (130, "harness: stopped on request")
    assert signal.getsignal(INT) is before


def test_an_interrupt_that_became_another_error(host: FakeHost) -> None:
    for place in (
        "harness.cli.scenarios.find_files",
        "harness.cli.commands.import_module",
        "harness.cli.dispatch.main",
    ):
        error = RuntimeError("Error calling __set_name__")
        error.__cause__ = KeyboardInterrupt()
        with patch(place, side_effect=error):
            assert host.harness("check").status == 130, place


def test_an_interrupt_that_became_another_error_in_a_run(host: FakeHost) -> None:
    """It ends all, and the document says what the process says."""
    error = RuntimeError("Error calling __set_name__")
    error.__cause__ = KeyboardInterrupt()
    with patch("harness.cli.run.this_host", side_effect=error):
        assert host.harness("run", "--json", "out.json").status == 130
    assert json.loads((host.root / "cwd/out.json").read_text())["exit"] == 130


def test_a_second_ctrl_c_while_cleaning_up(host: FakeHost) -> None:
    """QEMU is stopped (SIGSTOP): it takes a second until it is killed. Pressing again must not leave it."""
    host.play(script(_PHASES["kernel"], [{"signal": 19}]))
    process = host.start("run")
    until(lambda: any(_state(pid) == "T" for pid in host.machines()), "QEMU is stopped")
    done = finish(process, INT, INT, INT, TERM)
    assert (done.status, len(done.message.splitlines())) == (130, 1)
    _stopped(host)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_several_runs_at_a_time(host: FakeHost) -> None:
    for name in ("two", "three", "four"):
        host.scenario(f"fake/{name}")
    host.play(script(_PHASES["kernel"]))
    process = host.start("run", "-j2")
    until(_in_phase(host, "kernel", 2), "two runs in the phase kernel")
    done = finish(process, INT)
    assert done.status == 130
    assert done.message == "harness: stopped on request; 2 of 4 runs have a record in runs"
    _stopped(host, 2)


def test_what_was_done_before_is_kept(host: FakeHost) -> None:
    host.scenario("fake/two")
    process = host.start("run", "-j1")
    until(lambda: any((run / "verdict.json").exists() for run in host.runs), "the first verdict")
    host.play(script())
    until(lambda: len(host.runs) == 2, "the second run")
    done = finish(process, INT)
    assert done.status == 130
    verdicts = [json.loads((run / "verdict.json").read_text())["status"] for run in host.runs]
    assert verdicts == ["PASS", "ERROR"]
    assert "1 ERROR, 1 PASS" in done.out


def _hanging(host: FakeHost, program: str) -> Path:
    """The program says that it was started, and hangs."""
    mark = host.root / "started"
    host.program(program, f"#!/bin/sh\ntouch {mark}\nexec sleep 60\n".encode())
    return mark


@pytest.mark.parametrize("number", [INT, TERM])
@pytest.mark.parametrize("program", ["clang", "kexec"])
def test_stopped_while_building(host: FakeHost, program: str, number: signal.Signals) -> None:
    mark = _hanging(host, program)
    process = host.start("run")
    until(mark.exists, f"{program} is started")
    done = finish(process, number)
    assert (done.status, done.message) == (130, "harness: stopped on request"), done
    assert host.runs == []
    until(lambda: not host.machines(), f"{program} ends with the harness", 2)


def test_stopped_while_the_host_is_measured(host: FakeHost) -> None:
    """The firmware never shows a sign of life: measuring takes a minute then."""
    real = host.root / "bin/qemu-system-x86_64"
    version = f'[ "$1" = --version ] && exec {real.resolve()} --version'
    text = f"#!/bin/sh\n{version}\ntouch {host.root}/started\nexec sleep 60\n"
    host.program("qemu-system-x86_64", text.encode())
    process = host.start("run")
    until((host.root / "started").exists, "the host is measured")
    done = finish(process, INT)
    assert (done.status, done.message) == (130, "harness: stopped on request"), done
    until(lambda: not host.machines(), "the measured QEMU ends with the harness", 2)


def _debian_kernel(host: FakeHost) -> None:
    entry = {"kind": "debian", "name": "far", "description": "never fetched", "series": "6.1", "flavour": "amd64"}
    (host.root / "kernels/far.yaml").write_text(json.dumps({**entry, "suites": ["bookworm"]}))


@pytest.mark.parametrize("number", [INT, TERM])
@pytest.mark.parametrize("command", [("kernels", "fetch", "far"), ("run", "--kernel", "far")])
def test_stopped_while_a_kernel_is_fetched(host: FakeHost, command: tuple[str, ...], number: signal.Signals) -> None:
    _debian_kernel(host)
    mark = _hanging(host, "apt-get")
    process = host.start(*command)
    until(mark.exists, "apt-get is started")
    done = finish(process, number)
    assert done.status == 130, done
    assert done.message.splitlines()[-1] == "harness: stopped on request"
    assert host.runs == []
    until(lambda: not host.machines(), "apt-get ends with the harness", 2)
    assert list((host.root / "cache").rglob("download-*")) == []


def test_stopped_when_all_is_done_keeps_the_verdict(host: FakeHost) -> None:
    host.play(script(*guest.whole_run()))
    process = host.start("run")
    until(lambda: any((run / "end.json").exists() for run in host.runs), "the run has ended")
    done = finish(process, INT)
    assert done.status in (0, 130, -INT)  # -INT: Python itself was ending
    (run,) = host.runs
    assert json.loads((run / "verdict.json").read_text())["status"] == "PASS"


def test_killed_harness_leaves_no_qemu(host: FakeHost) -> None:
    host.scenario("fake/two")
    host.play(script(_PHASES["kernel"]))
    process = host.start("run", "-j2")
    until(_in_phase(host, "kernel", 2), "two runs in the phase kernel")
    assert len(host.machines()) == 2
    finish(process, signal.SIGKILL)
    until(lambda: not host.machines(), "QEMU ends with a killed harness", 3)
    judged = host.harness("judge", str(host.runs[0]))
    assert judged.status == 3
    assert "bad-record" in judged.out


def test_ignored_signals_stay_ignored(host: FakeHost) -> None:
    """nohup(1) ignores SIGHUP: closing the terminal does not end the run."""
    host.play(script(_PHASES["kernel"]))
    process = host.start("run", preexec_fn=lambda: signal.signal(HUP, signal.SIG_IGN))
    until(_in_phase(host, "kernel"), "the phase kernel")
    os.kill(process.pid, HUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    assert finish(process, INT).status == 130
    _stopped(host)
