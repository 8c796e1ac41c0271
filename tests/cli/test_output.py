"""Output that cannot be written, and exceptions nobody foresaw: neither changes a verdict or makes up an exit code."""

from __future__ import annotations

import errno
import io
import json
import os
import pty
import signal
import subprocess
from pathlib import Path
from typing import Any, TextIO, cast
from unittest.mock import patch

import pytest
from fakes import fake_guest as guest
from fakes.fake_guest import script
from fakes.fake_host import Done, FakeHost

from harness.cli.out.output import Output
from harness.judge.judge import judge
from harness.report.progress import PlainProgress

PANIC = script(guest.ready(), guest.agent(), guest.start(), [{"console": "Kernel panic - not syncing: fake\r\n"}])
DEAD = {"steps": [{"exit": 7}]}
PASS, FAIL, ERROR = (script(*guest.whole_run()), 0, "PASS"), (PANIC, 1, "FAIL"), (DEAD, 3, "ERROR")


def shell(host: FakeHost, line: str, *arguments: str) -> Done:
    """``"$@"`` in a line of bash, whose exit code is that of the harness."""
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}", "bash", *host.command(*arguments)],
        cwd=host.root / "cwd",
        env=host.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def verdict_of(run: Path) -> str:
    return str(json.loads((run / "verdict.json").read_text())["status"])


@pytest.mark.parametrize(
    ("line", "played"),
    [
        ('"$@" | head -1', PASS),
        ('"$@" | head -1', FAIL),
        ('"$@" | head -1', ERROR),
        ('"$@" >&- 2>&-', PASS),
        ('"$@" >&- 2>&-', FAIL),
        ('"$@" > /dev/full 2>/dev/full', PASS),
        ('"$@" > /dev/full 2>/dev/full', ERROR),
    ],
)
def test_output_that_goes_nowhere_leaves_the_verdict(
    host: FakeHost, line: str, played: tuple[dict[str, Any], int, str]
) -> None:
    steps, status, verdict = played
    host.play(steps)
    done = shell(host, line, "run")
    assert done.status == status, done
    assert "Traceback" not in done.message
    assert verdict in {verdict_of(run) for run in host.runs}
    assert all("cannot be written" not in json.loads((run / "end.json").read_text())["detail"] for run in host.runs)


@pytest.mark.parametrize(
    ("line", "why"), [('"$@" > /dev/full', "no space left on device"), ('"$@" >&-', "it is closed")]
)
def test_lost_output_is_said(host: FakeHost, line: str, why: str) -> None:
    assert shell(host, line, "run").message == f"harness: standard output could not be written: {why}"


def test_a_reader_that_has_enough_is_not_told(host: FakeHost) -> None:
    done = shell(host, '"$@" | head -1', "run")
    assert (done.status, done.message, len(done.out.splitlines())) == (0, "", 1)


@pytest.mark.parametrize(
    ("line", "target", "played", "status"),
    [
        ('"$@" > /dev/full', "-", PASS, 3),
        ('"$@" >&-', "-", PASS, 3),
        ('"$@" | true', "-", PASS, 3),
        ('"$@"', "/dev/full", PASS, 3),
        ('"$@"', "/dev/full", FAIL, 1),
    ],
)
def test_json_that_is_lost_is_no_success(
    host: FakeHost, line: str, target: str, played: tuple[dict[str, Any], int, str], status: int
) -> None:
    host.play(played[0])
    done = shell(host, line, "run", "--json", target)
    assert done.status == status, done
    assert f"harness: --json {target}: cannot be written (" in done.message
    assert len(host.runs) == 1


def test_a_terminal_that_goes_away(host: FakeHost) -> None:
    """As under nohup(1), SIGHUP is ignored; then the window is closed, and writing fails with EIO."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        host.command("run"),
        cwd=host.root / "cwd",
        env={**host.environment, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),  # noqa: PLW1509
    ) as process:
        os.close(theirs)
        os.read(ours, 1)
        os.close(ours)
        assert process.wait(60) == 0
    assert [verdict_of(run) for run in host.runs] == ["PASS"]


@pytest.mark.parametrize("command", [("list", "--json"), ("check",), ("--help",)])
def test_a_question_whose_answer_is_lost(host: FakeHost, command: tuple[str, ...]) -> None:
    full = shell(host, '"$@" > /dev/full', *command)
    assert (full.status, full.message) == (
        3,
        "harness: standard output could not be written: no space left on device",
    )
    assert shell(host, '"$@" >&-', *command).status == 3
    gone = shell(host, '"$@" | true', *command)
    assert (gone.status, gone.message) == (0, "")


def test_names_that_the_terminal_cannot_say_are_escaped(host: FakeHost) -> None:
    host.environment |= {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    path = host.scenario("fake/one")
    path.write_text(path.read_text().replace("plays it", "spielt: \N{LATIN SMALL LETTER O WITH DIAERESIS}"))
    done = shell(host, '"$@"', "check", "/nowhere/\N{LATIN SMALL LETTER O WITH DIAERESIS}.yaml")
    assert done.status == 2
    assert "\\xf6.yaml" in done.message


def test_a_closed_standard_output_is_no_file_of_the_record(host: FakeHost) -> None:
    """The lowest free descriptor is the next file's: what a child prints would go into it."""
    assert shell(host, '"$@" <&- >&- 2>&-', "run").status == 0
    assert [verdict_of(run) for run in host.runs] == ["PASS"]


# Exceptions


def injected(host: FakeHost, place: str, *arguments: str, error: BaseException | None = None) -> Done:
    with patch(place, side_effect=error or KeyError("nobody foresaw this")):
        return host.harness(*arguments)


def told(text: str) -> Path:
    """The file that a message names."""
    return Path(next(word for word in text.split() if "harness-internal-error-" in word))


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.mark.parametrize(
    ("place", "command"),
    [
        ("harness.cli.commands.import_module", "check"),
        ("harness.cli.scenarios.find_files", "check"),
        ("harness.cli.run.this_host", "run"),
        ("harness.session.session.Session._look_ahead", "run"),
    ],
)
def test_an_exception_is_exit_3_and_no_traceback(host: FakeHost, place: str, command: str) -> None:
    done = injected(host, place, command)
    assert done.status == 3
    first, hint = done.message.splitlines()
    assert first.startswith("harness: internal error: KeyError: 'nobody foresaw this' (")
    kept = told(hint).read_text()
    assert kept.count("Traceback (most recent call last)") == 1
    assert "KeyError: 'nobody foresaw this'" in kept


@pytest.mark.parametrize("error", [RecursionError("deep"), MemoryError(), AssertionError("x"), OSError(5, "I/O")])
def test_whatever_is_raised(host: FakeHost, error: Exception) -> None:
    assert injected(host, "harness.cli.scenarios.find_files", "check", error=error).status == 3


def test_debug_prints_the_traceback(host: FakeHost) -> None:
    host.environment["HARNESS_DEBUG"] = "1"
    done = injected(host, "harness.cli.scenarios.find_files", "check")
    assert (done.status, "Traceback" in done.err) == (3, True)


@pytest.mark.parametrize(
    "place", ["harness.session.session.make_plan", "harness.session.session.judge", "harness.stage.recorder.step"]
)
def test_an_exception_in_a_run_costs_that_run(host: FakeHost, place: str) -> None:
    done = injected(host, place, "run", "--json", "out.json")
    assert done.status == 3
    assert done.message == ""
    document = json.loads((host.root / "cwd/out.json").read_text())
    (verdict,) = document["verdicts"]
    assert (document["exit"], verdict["status"]) == (3, "ERROR")
    assert "internal error: KeyError: 'nobody foresaw this'" in verdict["headline"]


def test_the_other_runs_go_on(host: FakeHost) -> None:
    host.scenario("fake/two")
    made = [KeyError("once")]

    def once(*arguments: Any) -> Any:
        if made:
            raise made.pop()
        return judge(*arguments)

    with patch("harness.session.session.judge", side_effect=once):
        done = host.harness("run", "-j1", "--json", "out.json")
    found = {item["status"]: item["cause"] for item in json.loads((host.root / "cwd/out.json").read_text())["verdicts"]}
    assert (done.status, found) == (3, {"ERROR": "internal", "PASS": None})


@pytest.mark.parametrize("name", ["started", "phase", "finished", "message"])
def test_progress_that_fails_reaches_no_run(host: FakeHost, name: str) -> None:
    with patch.object(PlainProgress, name, side_effect=KeyError("nobody foresaw this")):
        done = host.harness("run")
    assert [verdict_of(run) for run in host.runs] == ["PASS"]
    assert done.status == 0
    # ``finished`` calls ``message`` only when there are several.
    assert done.message.startswith("harness: internal error: KeyError")


# The writer


class _Full(io.StringIO):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.asked = 0

    def write(self, text: str) -> int:
        self.asked += 1
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(
    ("number", "lost"),
    [(errno.EPIPE, ""), (errno.ENOSPC, "no space left on device"), (errno.EIO, "input/output error")],
)
def test_the_first_fault_is_kept_and_nothing_is_tried_again(number: int, lost: str) -> None:
    stream = _Full(number)
    output = Output(stream)
    print("one\ntwo", file=cast(TextIO, output))
    assert (output.fault and output.fault.errno, output.lost, stream.asked) == (number, lost, 1)


def test_output_that_works() -> None:
    stream = io.StringIO()
    output = Output(stream)
    print("one", file=cast(TextIO, output), flush=True)
    assert (stream.getvalue(), output.fault, output.lost) == ("one\n", None, "")


def test_a_file_that_was_closed() -> None:
    stream = io.StringIO()
    stream.close()
    output = Output(stream)
    output.write("x")
    assert output.fault is not None
    assert output.fault.errno == errno.EBADF
