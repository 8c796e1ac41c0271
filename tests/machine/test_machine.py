"""The composed machine against the fake QEMU."""

from __future__ import annotations

import json
import os
import signal
import stat
import threading
from pathlib import Path

import pytest

from harness import clock
from harness.clock import Deadline
from harness.errors import HostError, InputError, Interrupted, QemuError
from harness.machine.feed import Feed
from harness.machine.frame import Frame
from harness.machine.happenings import Event, Happening, Line, Match
from harness.machine.machine import Machine
from harness.model.record import EndKind

from .conftest import NONCE, StartFake, lost, no_failure, of_kind, on_match, won

PATTERNS = {"panic": r"Kernel panic - .*", "oops": r"BUG: .*"}


def test_a_run_from_ready_to_poweroff(start_fake: StartFake, tmp_path: Path) -> None:
    script = {
        "memory": {"0x3bfff000": "c0ffee"},
        "steps": [
            {"debugcon": "SecCoreStartupWithStack\n"},
            {"link": "noise from OVMF"},
            {"frame": "ready", "nonce": "00000000", "fields": {"agent": "1"}},
            {"wait_byte": "G"},
            {"frame": "go"},
            {"console": "Linux version 6.1\r\n"},
            {"frame": "fact", "fields": {"name": "cmdline"}, "body": "ro quiet\n"},
            {"wait_frame": "load"},
            {"frame": "loaded", "fields": {"rc": "0"}},
            {"poweroff": True},
        ],
    }
    feed = Feed()
    with start_fake(script, feed) as machine:
        ready = won(feed.wait(of_kind("ready"), no_failure, Deadline.after(5), since=0))
        go = won(machine.link.nudge(b"G", "go", no_failure, Deadline.after(5), ready.cursor))
        fact = won(feed.wait(of_kind("fact"), no_failure, Deadline.after(5), go.cursor))
        assert isinstance(fact.value.data, Frame)
        assert fact.value.data.body == b"ro quiet\n"
        assert machine.memory.read(0x3BFFEFFF, 5) == b"\0\xc0\xff\xee\0"
        machine.link.send_command("load", {"syscall": "file"})
        won(feed.wait(of_kind("loaded"), no_failure, Deadline.after(5), fact.cursor))
        off = won(feed.wait(of_kind("SHUTDOWN"), no_failure, Deadline.after(5), fact.cursor))
        assert off.value.data == Event("SHUTDOWN", {"guest": True, "reason": "guest-shutdown"})
        assert machine.process.status is None
    assert machine.process.status is not None
    assert (tmp_path / "console.log").read_bytes() == b"Linux version 6.1\r\n"
    assert (tmp_path / "com2.log").read_bytes().startswith(b"noise from OVMF\n@HL1 00000000 1 ready ")
    assert (tmp_path / "debugcon.log").read_text() == "SecCoreStartupWithStack\n"
    said = [json.loads(line) for line in (tmp_path / "fake.log").read_text().splitlines()]
    assert {"frame": "load", "fields": {"syscall": "file"}} in said
    qmp = [json.loads(line) for line in (tmp_path / "qmp.jsonl").read_text().splitlines()]
    assert [entry["execute"] for entry in qmp if "execute" in entry][:2] == ["cont", "query-status"]
    assert "SHUTDOWN" in [entry.get("event") for entry in qmp]


def test_what_comes_before_and_right_after_cont_is_not_missed(start_fake: StartFake) -> None:
    feed = Feed()
    script = {"before": [{"event": "RTC_CHANGE"}], "steps": [{"console": "first\n"}, {"frame": "hello"}]}
    with start_fake(script, feed):
        for wanted in ("RTC_CHANGE", "first", "hello"):
            won(feed.wait(of_kind(wanted), no_failure, Deadline.after(5), since=0))


def test_events_keep_their_order(start_fake: StartFake) -> None:
    feed = Feed()
    with start_fake({"steps": [{"event": f"E{number}"} for number in range(200)]}, feed):
        won(feed.wait(of_kind("E199"), no_failure, Deadline.after(5), since=0))
    names = [happening.data.name for happening in feed.since(0) if isinstance(happening.data, Event)]
    assert [name for name in names if name.startswith("E")] == [f"E{number}" for number in range(200)]


def test_console_lines_carry_text_and_place(start_fake: StartFake, tmp_path: Path) -> None:
    feed = Feed()
    text = "\x1b[2J\x1b[01;01HBdsDxe: loading\r\n\r\nLinux \N{GREEK SMALL LETTER MU}\r\nlast without end"
    with start_fake({"steps": [{"console": text}, {"wait_ms": 50}, {"close": "com1"}]}, feed) as machine:
        won(feed.wait(of_kind("closed"), no_failure, Deadline.after(5), since=0))
        assert machine.console.last_line == "last without end"
        assert machine.console.size_bytes == len(text.encode())
    lines = [happening.data for happening in feed.since(0) if isinstance(happening.data, Line)]
    assert [entry.text for entry in lines] == ["BdsDxe: loading", "Linux \N{GREEK SMALL LETTER MU}", "last without end"]
    raw = (tmp_path / "console.log").read_bytes()
    assert raw == text.encode()
    assert raw[lines[0].offset :].startswith(b"\x1b[2J")
    assert raw[lines[2].offset :] == b"last without end"
    times = [row.split() for row in (tmp_path / "console.times").read_text().splitlines()]
    assert times[0][1] == "0"
    assert all(0 <= float(seconds) < 60 for seconds, _ in times)


def test_a_decisive_pattern_ends_a_wait_for_something_else(start_fake: StartFake) -> None:
    feed = Feed()
    steps = [
        {"console": "[    1.0] BU"},
        {"wait_ms": 20},
        {"console": "G: unable\x1b[0"},
        {"console": "m to handle\r\nmore\r\n"},
    ]
    with start_fake({"steps": steps}, feed, patterns=PATTERNS):
        outcome = lost(feed.wait(of_kind("up"), on_match, Deadline.after(5), since=0))
    assert outcome.happening is not None
    match = outcome.happening.data
    assert isinstance(match, Match)
    assert (match.name, match.text, match.before) == ("oops", "BUG: unable to handle", "[    1.0] ")


def test_every_match_of_a_flood_is_found_in_order(start_fake: StartFake) -> None:
    feed = Feed()
    flood = {"console": "0123456789" * 7 + "\r\n", "repeat": 20_000}
    steps = [flood, {"console": "BUG: one\r\n"}, flood, {"console": "Kernel panic - two\r\n"}, {"frame": "up"}]
    began_s = clock.now_s()
    with start_fake({"steps": steps}, feed, patterns=PATTERNS) as machine:
        won(feed.wait(lambda h: _match(h, "panic"), no_failure, Deadline.after(20), since=0))
        assert machine.console.dropped_chars == 0
        assert machine.console.size_bytes == 40_000 * 72 + 30
    assert [h.data.text for h in feed.since(0) if isinstance(h.data, Match)] == ["BUG: one", "Kernel panic - two"]
    assert clock.now_s() - began_s < 15


def _match(happening: Happening, name: str) -> Match | None:
    return happening.data if isinstance(happening.data, Match) and happening.data.name == name else None


def test_expect_and_send_work_for_a_person_when_nothing_is_watched(start_fake: StartFake) -> None:
    with start_fake({"steps": [{"console": "boot\r\nlogin: "}]}) as machine:
        assert machine.console.expect(["Kernel panic", "login: $"], timeout=5) == 1
        assert machine.console.before == "boot\n"
        assert machine.console.send("root\r") == 5


def test_a_console_nobody_expects_from_neither_stalls_nor_grows(
    start_fake: StartFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.machine.console.BACKLOG_CHARS", 100_000)
    feed = Feed()
    with start_fake({"steps": [{"console": "x" * 99 + "\n", "repeat": 10_000}, {"frame": "done"}]}, feed) as machine:
        won(feed.wait(of_kind("done"), no_failure, Deadline.after(10), since=0))
        won(feed.wait(lambda _: machine.console.size_bytes == 10**6 or None, no_failure, Deadline.after(10), since=0))
    assert machine.console.dropped_chars >= 10**6 - 100_000


def test_a_busy_main_thread_does_not_stall_the_console(start_fake: StartFake) -> None:
    """The machine's side: a megabyte goes through while the main thread sits in something else."""
    feed = Feed()
    with start_fake({"steps": [{"console": "y" * 99 + "\n", "repeat": 10_000}, {"frame": "done"}]}, feed):
        assert feed.until(lambda: any(h.kind == "frame" for h in feed.since(0)), Deadline.after(10))


def test_frames_of_another_run_are_dropped_and_counted(start_fake: StartFake) -> None:
    feed = Feed()
    steps = [
        {"frame": "hello", "nonce": "ffffffff"},
        {"frame": "hello", "nonce": "00000000"},
        {"cut_frame": "hello"},
        {"link": "\n"},
        {"frame": "up"},
    ]
    with start_fake({"steps": steps}, feed) as machine:
        won(feed.wait(of_kind("up"), no_failure, Deadline.after(5), since=0))
        assert machine.link.foreign == 2
    assert [h.data.kind for h in feed.since(0) if isinstance(h.data, Frame)] == ["up"]


def test_a_nudge_that_is_never_answered_times_out(start_fake: StartFake) -> None:
    with start_fake({}) as machine:
        outcome = lost(machine.link.nudge(b"G", "go", no_failure, Deadline.after(0.3), 0))
    assert outcome.kind is EndKind.TIMEOUT


def test_qemu_killed_from_outside_is_reported_within_a_second(start_fake: StartFake) -> None:
    feed = Feed()
    with start_fake({"steps": [{"console": "hello\n"}]}, feed, patterns=PATTERNS) as machine:
        os.kill(machine.process.pid, signal.SIGKILL)
        began_s = clock.now_s()
        outcome = lost(feed.wait(of_kind("up"), on_match, Deadline.after(10), since=0))
        assert clock.now_s() - began_s < 1.0
        assert machine.process.status == -signal.SIGKILL
        machine.link.send_command("exec")
        with pytest.raises(QemuError, match="QMP query-status"):
            machine.qmp.status()
    assert (outcome.kind, outcome.detail) == (EndKind.QEMU_DIED, "QEMU ended by signal 9")


def test_an_oops_written_just_before_the_end_is_the_answer(start_fake: StartFake) -> None:
    feed = Feed()
    steps = [{"console": "x" * 70 + "\n", "repeat": 500}, {"console": "Kernel panic - not syncing\n"}, {"signal": 9}]
    with start_fake({"steps": steps}, feed, patterns=PATTERNS):
        outcome = lost(feed.wait(of_kind("up"), on_match, Deadline.after(10), since=0))
    assert (outcome.kind, outcome.detail) == (EndKind.PANIC, "Kernel panic - not syncing")


def test_a_hung_qemu_is_named_by_the_command_and_still_ended(start_fake: StartFake) -> None:
    with start_fake({}) as machine:
        hang(machine)
        began_s = clock.now_s()
        with pytest.raises(QemuError, match=r"QMP query-status: no answer within 0\.3 s"):
            machine.qmp.execute("query-status", timeout_s=0.3)
        assert clock.now_s() - began_s < 3.0
    assert machine.process.status == -signal.SIGKILL


def hang(machine: Machine) -> None:
    os.kill(machine.process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, machine.process.pid, os.WSTOPPED | os.WNOWAIT)  # until it has really stopped


def test_ctrl_c_while_a_command_hangs(start_fake: StartFake) -> None:
    feed = Feed()
    timer = threading.Timer(0.1, feed.interrupt)
    with start_fake({}, feed) as machine:
        hang(machine)
        timer.start()
        began_s = clock.now_s()
        with pytest.raises(Interrupted):
            machine.qmp.status()
        assert clock.now_s() - began_s < 3.0
    timer.join()


def test_ctrl_c_while_qemu_starts(start_fake: StartFake) -> None:
    feed = Feed()
    timer = threading.Timer(0.2, feed.interrupt)
    timer.start()
    with pytest.raises(Interrupted), start_fake({"greeting": False}, feed):
        raise AssertionError("it cannot start")
    timer.join()


def test_a_default_ctrl_c_leaves_nothing_behind(start_fake: StartFake) -> None:
    feed = Feed()
    timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))

    def run() -> None:
        with start_fake({}, feed):
            timer.start()
            feed.wait(of_kind("up"), no_failure, Deadline.after(10), since=0)

    with pytest.raises(KeyboardInterrupt):
        run()
    timer.join()


def test_an_exception_in_the_block_leaves_nothing_behind(start_fake: StartFake) -> None:
    with pytest.raises(ZeroDivisionError), start_fake({"steps": [{"console": "x\n", "repeat": 1000}]}) as machine:
        _ = 1 // 0
    assert machine.process.status is not None


def test_qemu_that_ends_at_once_gives_its_own_words(start_fake: StartFake) -> None:
    said = "warning: something\nqemu-system-x86_64: -frobnicate: invalid option\n"
    with pytest.raises(QemuError) as caught, start_fake({"stderr": said, "exit": 1}):
        raise AssertionError("it cannot start")
    assert str(caught.value).endswith("with status 1 while it started: qemu-system-x86_64: -frobnicate: invalid option")
    assert caught.value.output == said.strip()
    assert "-S" in caught.value.argv


def test_qemu_that_never_greets(start_fake: StartFake) -> None:
    with (
        pytest.raises(QemuError, match=r"the greeting: no answer within 0\.3 s"),
        start_fake({"greeting": False}, start_timeout_s=0.3),
    ):
        raise AssertionError("it cannot start")


def test_qemu_that_refuses_to_continue(start_fake: StartFake) -> None:
    with pytest.raises(QemuError, match="QMP cont: QEMU refused it: no"), start_fake({"refuse": {"cont": "no"}}):
        raise AssertionError("it cannot start")


def test_no_qemu_on_the_path(tmp_path: Path) -> None:
    with pytest.raises(QemuError, match="was not found") as caught:
        Machine.start(("qemu-system-none",), tmp_path, nonce=NONCE).__enter__()
    assert "apt install" in caught.value.hint


def test_a_qemu_that_is_not_executable(tmp_path: Path) -> None:
    program = tmp_path / "qemu"
    program.write_text("")
    with pytest.raises(QemuError, match="not executable"):
        Machine.start((str(program),), tmp_path, nonce=NONCE).__enter__()


def test_a_qemu_that_is_no_program(tmp_path: Path) -> None:
    program = tmp_path / "qemu"
    program.write_bytes(b"\x7fELF garbage")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(QemuError):
        Machine.start((str(program),), tmp_path, nonce=NONCE).__enter__()


@pytest.mark.parametrize("name", ["console.log", "console.times", "com2.log", "qmp.jsonl", "qemu.stderr"])
def test_a_run_directory_that_cannot_be_written(start_fake: StartFake, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(HostError, match=name), start_fake({}):
        raise AssertionError("it cannot start")


def test_a_pattern_that_is_no_pattern(start_fake: StartFake) -> None:
    with pytest.raises(InputError, match="'bad'"), start_fake({}, patterns={"bad": "("}):
        raise AssertionError("it cannot start")


def test_a_full_disk_ends_the_wait_with_the_reason(start_fake: StartFake, tmp_path: Path) -> None:
    (tmp_path / "console.log").symlink_to("/dev/full")
    feed = Feed()
    steps = [{"wait_frame": "begin"}, {"console": "x\n"}]
    with start_fake({"steps": steps}, feed) as machine:
        machine.link.send_command("begin")
        with pytest.raises(HostError, match="No space left"):
            feed.wait(of_kind("up"), no_failure, Deadline.after(5), since=0)


def test_a_run_directory_too_long_for_a_socket_is_a_note(tmp_path: Path) -> None:
    directory = tmp_path / ("long" * 30)
    directory.mkdir()
    script = tmp_path / "script.json"
    script.write_text("{}")
    fake = Path(__file__).parents[1] / "fakes" / "fake_qemu.py"
    with Machine.start((str(fake), "-fake", str(script)), directory, nonce=NONCE) as machine:
        assert "qmp.sock" in machine.notes[0]
        assert "-qmp" not in machine.process.argv


def test_a_comma_in_the_run_directory(start_fake: StartFake, tmp_path: Path) -> None:
    directory = tmp_path / "a,b"
    directory.mkdir()
    fake = Path(__file__).parents[1] / "fakes" / "fake_qemu.py"
    with Machine.start((str(fake),), directory, nonce=NONCE) as machine:
        assert machine.notes == ()
    assert (directory / "debugcon.log").exists()


def test_machines_started_by_several_threads_at_once(tmp_path: Path) -> None:
    """Each port ends with its own QEMU, so no process holds another's descriptors."""
    fake = str(Path(__file__).parents[1] / "fakes" / "fake_qemu.py")
    seen: dict[int, list[str]] = {}

    def run(number: int) -> None:
        directory = tmp_path / str(number)
        directory.mkdir()
        script = directory / "script.json"
        script.write_text(json.dumps({"steps": [{"console": f"machine {number}\n"}]}))
        feed = Feed()
        with Machine.start((fake, "-fake", str(script)), directory, feed, nonce=NONCE) as machine:
            won(feed.wait(of_kind(f"machine {number}"), no_failure, Deadline.after(20), since=0))
            os.kill(machine.process.pid, signal.SIGKILL)
            won(feed.wait(of_kind("closed"), no_failure, Deadline.after(5), since=0))
        seen[number] = [h.data.text for h in feed.since(0) if isinstance(h.data, Line)]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {number: [f"machine {number}"] for number in range(4)}
