"""The fake QEMU is what other tests trust, so it has tests of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.clock import Deadline
from harness.errors import QemuError
from harness.machine.feed import Feed
from harness.machine.happenings import Event, Exited
from harness.machine.machine import Machine
from harness.model.record import EndKind

from .conftest import FAKE, NONCE, StartFake, lost, no_failure, of_kind, won

sys.path.insert(0, str(FAKE.parent))
from fake_qemu import chardevs


def test_it_reads_qemu_chardev_options() -> None:
    argv = ["-m", "1G", "-chardev", "socket,id=com1,fd=7", "-chardev", "file,id=fwlog,path=/a,,b/c.log"]
    assert chardevs(argv) == {"com1": {"id": "com1", "fd": "7"}, "fwlog": {"id": "fwlog", "path": "/a,b/c.log"}}


def test_it_says_its_version() -> None:
    told = subprocess.run([str(FAKE), "--version"], capture_output=True, text=True, check=True)
    assert told.stdout.startswith("QEMU emulator version 7.2.22")


def test_the_environment_names_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"steps": [{"console": "from the environment\n"}]}))
    monkeypatch.setenv("FAKE_QEMU", str(script))
    feed = Feed()
    with Machine.start((str(FAKE),), tmp_path, feed, nonce=NONCE):
        won(feed.wait(of_kind("from the environment"), no_failure, Deadline.after(5), since=0))


@pytest.mark.parametrize(("step", "status"), [({"exit": 3}, 3), ({"signal": 6}, -6), ({"signal": 9}, -9)])
def test_it_ends_as_scripted(start_fake: StartFake, step: dict[str, int], status: int) -> None:
    feed = Feed()
    with start_fake({"steps": [step]}, feed) as machine:
        outcome = won(feed.wait(of_kind("qemu-exited"), no_failure, Deadline.after(5), since=0))
    assert outcome.value.data == Exited(status)
    assert machine.process.status == status


def test_a_step_that_does_not_exist_ends_it(start_fake: StartFake, tmp_path: Path) -> None:
    feed = Feed()
    with start_fake({"steps": [{"konsole": "x"}]}, feed):
        won(feed.wait(of_kind("qemu-exited"), no_failure, Deadline.after(5), since=0))
    assert "not a step: {'konsole': 'x'}" in (tmp_path / "qemu.stderr").read_text()


EVENTS: list[tuple[dict[str, Any], str, dict[str, Any], str]] = [
    ({"panic": True}, "GUEST_PANICKED", {"action": "pause"}, "guest-panicked"),
    ({"poweroff": True}, "SHUTDOWN", {"guest": True, "reason": "guest-shutdown"}, "shutdown"),
    ({"reset": "guest-reset"}, "SHUTDOWN", {"guest": True, "reason": "guest-reset"}, "shutdown"),
    ({"event": "RESET", "data": {"guest": True}}, "RESET", {"guest": True}, "running"),
    ({"internal_error": True}, "STOP", {}, "internal-error"),
]


@pytest.mark.parametrize(("step", "event", "data", "status"), EVENTS)
def test_events_and_states(
    start_fake: StartFake, step: dict[str, Any], event: str, data: dict[str, Any], status: str
) -> None:
    feed = Feed()
    with start_fake({"steps": [step]}, feed) as machine:
        outcome = won(feed.wait(of_kind(event), no_failure, Deadline.after(5), since=0))
        assert outcome.value.data == Event(event, data)
        assert machine.qmp.status() == status


def test_a_machine_that_is_shut_down_cannot_be_continued(start_fake: StartFake) -> None:
    feed = Feed()
    with start_fake({"steps": [{"poweroff": True}]}, feed) as machine:
        won(feed.wait(of_kind("SHUTDOWN"), no_failure, Deadline.after(5), since=0))
        with pytest.raises(QemuError, match="Resetting the Virtual Machine is required"):
            machine.qmp.execute("cont")


def test_it_waits_for_each_frame_once_and_stands_still_while_stopped(start_fake: StartFake) -> None:
    feed = Feed()
    steps = [
        {"wait_frame": "load"},
        {"poke": "0x1000", "bytes": "01"},
        {"frame": "loaded"},
        {"wait_frame": "load"},
        {"poke": "0x1000", "bytes": "02"},
        {"frame": "loaded"},
    ]
    with start_fake({"steps": steps}, feed) as machine:
        machine.link.send_command("load")
        first = won(feed.wait(of_kind("loaded"), no_failure, Deadline.after(5), since=0))
        assert machine.memory.read(0x1000, 1) == b"\1"
        with machine.memory.stopped():
            machine.link.send_command("load")
            quiet = feed.wait(of_kind("loaded"), no_failure, Deadline.after(0.1), first.cursor)
            assert lost(quiet).kind is EndKind.TIMEOUT
            assert machine.memory.read(0x1000, 1) == b"\1"
        won(feed.wait(of_kind("loaded"), no_failure, Deadline.after(5), first.cursor))
        assert machine.memory.read(0x1000, 1) == b"\2"


def test_an_unknown_command_is_refused(start_fake: StartFake) -> None:
    with start_fake({}) as machine, pytest.raises(QemuError, match="The command frobnicate has not been found"):
        machine.qmp.execute("frobnicate")


def test_quit_ends_it_with_0(start_fake: StartFake) -> None:
    feed = Feed()
    with start_fake({}, feed) as machine:
        machine.qmp.execute("quit")
        outcome = won(feed.wait(of_kind("qemu-exited"), no_failure, Deadline.after(5), since=0))
    assert outcome.value.data == Exited(0)
