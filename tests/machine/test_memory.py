from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.clock import Deadline
from harness.errors import QemuError
from harness.machine.feed import Feed
from harness.machine.happenings import Event

from .conftest import StartFake, no_failure, of_kind, won

MEMORY = {"0x1000": "aa" * 16, "0x2000": "bb" * 16}


def commands(directory: Path) -> list[str]:
    said = [json.loads(line) for line in (directory / "fake.log").read_text().splitlines()]
    names = [entry["command"] for entry in said if "command" in entry]
    return [name for name in names[names.index("cont") + 1 :] if name != "query-status"]


def test_one_read_stops_and_continues(start_fake: StartFake, tmp_path: Path) -> None:
    with start_fake({"memory": MEMORY}) as machine:
        assert machine.memory.read(0x1000, 16) == b"\xaa" * 16
        assert machine.qmp.status() == "running"
    assert commands(tmp_path) == ["stop", "pmemsave", "cont"]
    assert not (tmp_path / "pmemsave.tmp").exists()


def test_several_reads_in_one_stop(start_fake: StartFake, tmp_path: Path) -> None:
    with start_fake({"memory": MEMORY}) as machine:
        with machine.memory.stopped():
            assert machine.memory.read(0x1000, 1) == b"\xaa"
            assert machine.memory.read(0x2000, 1) == b"\xbb"
            assert machine.qmp.status() == "paused"
        assert machine.qmp.status() == "running"
    assert commands(tmp_path) == ["stop", "pmemsave", "pmemsave", "cont"]


def test_our_own_stop_is_marked_and_an_internal_error_is_not(start_fake: StartFake) -> None:
    feed = Feed()
    with start_fake({"steps": [{"wait_frame": "break"}, {"internal_error": True}]}, feed) as machine:
        machine.memory.read(0x1000, 1)
        own = won(feed.wait(of_kind("STOP"), no_failure, Deadline.after(5), since=0))
        machine.link.send_command("break")
        other = won(feed.wait(of_kind("STOP"), no_failure, Deadline.after(5), own.cursor))
        assert machine.qmp.status() == "internal-error"
    assert (own.value.data, other.value.data) == (Event("STOP", {}, asked=True), Event("STOP", {}, asked=False))


@pytest.mark.parametrize(("step", "status"), [("panic", "guest-panicked"), ("poweroff", "shutdown")])
def test_a_machine_that_stands_still_is_read_and_left_as_it_is(
    start_fake: StartFake, tmp_path: Path, step: str, status: str
) -> None:
    feed = Feed()
    with start_fake({"memory": MEMORY, "steps": [{step: True}]}, feed) as machine:
        won(feed.wait(of_kind("STOP"), no_failure, Deadline.after(5), since=0))
        assert machine.memory.read(0x1000, 1) == b"\xaa"
        assert machine.qmp.status() == status
    assert commands(tmp_path) == ["pmemsave"]


def test_a_short_file_is_an_error_and_the_machine_goes_on(start_fake: StartFake) -> None:
    with start_fake({"short": 1}) as machine:
        with pytest.raises(QemuError, match="pmemsave of 16 bytes at 0x1000 wrote 15 bytes"):
            machine.memory.read(0x1000, 16)
        assert machine.qmp.status() == "running"


def test_a_refused_read_names_the_command_and_the_machine_goes_on(start_fake: StartFake) -> None:
    with start_fake({"refuse": {"pmemsave": "No space left on device"}}) as machine:
        with pytest.raises(QemuError, match="QMP pmemsave: QEMU refused it: No space left on device"):
            machine.memory.read(0x1000, 16)
        assert machine.qmp.status() == "running"
