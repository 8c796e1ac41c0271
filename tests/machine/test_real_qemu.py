"""The machine on real QEMU, with its own BIOS and no kernel."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from fakes.fake_host import until

from harness import clock
from harness.clock import Deadline
from harness.errors import QemuError
from harness.machine.feed import Feed
from harness.machine.happenings import Event
from harness.machine.machine import Machine
from harness.model.record import EndKind

from .conftest import NONCE, lost, no_failure, of_kind, won

QEMU = "qemu-system-x86_64"
ARGV = (QEMU, "-accel", "tcg", "-M", "q35", "-m", "64", "-nodefaults", "-no-user-config", "-display", "none")
pytestmark = [pytest.mark.qemu, pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"{QEMU} is not installed")]


def test_start_read_memory_and_die_from_outside(tmp_path: Path) -> None:
    feed = Feed()
    with Machine.start(ARGV, tmp_path, feed, nonce=NONCE) as machine:
        won(feed.wait(of_kind("RESUME"), no_failure, Deadline.after(5), since=0))
        assert machine.qmp.status() == "running"
        reset_vector = machine.memory.read(0xFFFFFFF0, 16)
        assert reset_vector[0] == 0xEA  # a far jump, as every PC BIOS has it
        assert reset_vector[7] == reset_vector[10] == ord("/")  # and the date of the BIOS after it
        assert machine.qmp.status() == "running"
        log = tmp_path / "debugcon.log"
        until(lambda: b"SeaBIOS (version" in log.read_bytes(), "the BIOS names itself on port 0x402")
        stops = [h.data for h in feed.since(0) if isinstance(h.data, Event) and h.data.name == "STOP"]
        assert stops == [Event("STOP", {}, asked=True)]
        os.kill(machine.process.pid, signal.SIGKILL)
        began_s = clock.now_s()
        outcome = lost(feed.wait(of_kind("up"), no_failure, Deadline.after(10), feed.cursor()))
        assert clock.now_s() - began_s < 1.0
    assert (outcome.kind, outcome.detail) == (EndKind.QEMU_DIED, "QEMU ended by signal 9")


def test_a_reset_is_a_shutdown_event_and_the_machine_can_still_be_read(tmp_path: Path) -> None:
    feed = Feed()
    argv = (*ARGV, "-action", "panic=pause,reboot=shutdown,shutdown=pause")
    with Machine.start(argv, tmp_path, feed, nonce=NONCE) as machine:
        machine.qmp.execute("system_reset")
        event = won(feed.wait(of_kind("SHUTDOWN"), no_failure, Deadline.after(5), since=0)).value.data
        won(feed.wait(of_kind("STOP"), no_failure, Deadline.after(5), since=0))
        assert isinstance(event, Event)
        assert "reset" in event.data["reason"]
        assert machine.qmp.status() == "shutdown"
        assert len(machine.memory.read(0, 4096)) == 4096
        assert machine.process.status is None


def test_an_option_that_qemu_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(QemuError, match="invalid option") as caught:
        Machine.start((*ARGV, "-frobnicate"), tmp_path, nonce=NONCE).__enter__()
    assert "-frobnicate" in caught.value.argv
    assert "invalid option" in caught.value.output
