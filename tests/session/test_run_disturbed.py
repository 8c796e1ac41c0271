"""Runs that are disturbed: interrupted, a full disk, a mistake in the harness, QEMU killed from outside."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import fake_guest as guest
from fakes.fake_guest import script

from harness.clock import Deadline
from harness.errors import HostError
from harness.machine.feed import Feed
from harness.model.causes import Cause, Status
from harness.model.record import EndKind, Phase, PhaseEntry
from harness.session.runner import run_plan
from harness.stage.hostfault import Clocks
from harness.stage.listener import Silent
from harness.stage.stage import Helpers

from .conftest import HASTY, Stage

P = Phase
_TO_JUMP = [phase for part in guest.whole_run()[:6] for phase in part]


class _At(Silent):
    """Does something, once, when a phase begins."""

    def __init__(self, phase: Phase, epoch: int, action: Callable[[], object]) -> None:
        self._when = (phase, epoch)
        self._action = action
        self.done = 0

    def phase(self, variant: str, phase: Phase, epoch: int, detail: str) -> None:
        if (phase, epoch) == self._when and not self.done:
            self.done = 1
            self._action()


@pytest.mark.parametrize(
    ("phase", "epoch"),
    [*((P.FIRMWARE, 0), (P.AGENT, 0), (P.KERNEL, 1), (P.USERSPACE, 1), (P.LOAD, 1), (P.JUMP, 2), (P.USERSPACE, 2))],
)
def test_interrupted_in_each_phase(stage: Stage, phase: Phase, epoch: int) -> None:
    feeds: list[Feed] = []
    at = _At(phase, epoch, lambda: [feed.interrupt() for feed in feeds])
    ran = stage.run(script(*guest.whole_run()), listener=at, watch_feed=feeds.append)
    assert at.done
    assert (ran.end.kind, ran.end.detail) == (EndKind.INTERRUPTED, "stopped on request")
    assert (ran.verdict.status, ran.verdict.cause) == (Status.ERROR, Cause.INTERRUPTED)


def test_interrupted_before_qemu_starts(stage: Stage) -> None:
    ran = stage.run(script(*guest.whole_run()), watch_feed=lambda feed: feed.interrupt())
    assert (ran.end.kind, ran.end.epoch) == (EndKind.INTERRUPTED, 0)


@pytest.mark.parametrize(("phase", "epoch"), [(P.FIRMWARE, 0), (P.USERSPACE, 1), (P.LOAD, 1)])
def test_a_record_that_cannot_be_written_ends_the_run_politely(stage: Stage, phase: Phase, epoch: int) -> None:
    """The disk is full from that phase on; QEMU is gone and the error says what to do."""
    stage.play(script(*guest.whole_run()))
    directory = stage.root / "run"
    with pytest.raises(HostError) as caught:
        run_plan(stage.plan(), directory, _At(phase, epoch, lambda: _fill(directory)))
    assert "No space left on device" in caught.value.message
    assert caught.value.hint


def _fill(directory: Path) -> None:
    """Every file that is open for writing below ``directory`` becomes /dev/full, and no new one can be made."""
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith(f"{directory}/") and not target.endswith("qemu.stderr"):
            full = os.open("/dev/full", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            os.dup2(full, int(name), inheritable=False)
            os.close(full)
    (directory / "end.json").symlink_to("/dev/full")


def test_a_mistake_in_the_harness_itself_ends_qemu_too(stage: Stage) -> None:
    stage.play(script(*guest.whole_run()))

    def mistake() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_plan(stage.plan(), stage.root / "run", _At(P.LOAD, 1, mistake))
    assert '"host"' in (stage.root / "run/end.json").read_text()


def test_phases_know_their_place_in_the_console(stage: Stage) -> None:
    ran = stage.run(script(*guest.whole_run()))
    offsets = [entry.console_offset for entry in ran.entries if isinstance(entry, PhaseEntry)]
    assert offsets == sorted(offsets)
    jump = next(entry for entry in ran.entries if isinstance(entry, PhaseEntry) and entry.phase is P.JUMP)
    assert ran.console[: jump.console_offset].count("Linux version") == 1


def test_qemu_killed_from_outside(stage: Stage) -> None:
    """As the kernel's memory killer does it: by pid, at any moment."""
    killed = threading.Event()

    def kill() -> None:
        for stat in Path("/proc").glob("[0-9]*/stat"):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid():
                os.kill(int(stat.parent.name), signal.SIGKILL)
                killed.set()

    ran = stage.run(script(_TO_JUMP), listener=_At(P.JUMP, 2, kill))
    assert killed.wait(Deadline.after(1).remaining_s)
    ran.ended(EndKind.QEMU_DIED, P.JUMP, 2)
    assert ran.end.qemu_exit == -signal.SIGKILL


def test_a_qemu_that_is_stopped_is_not_called_a_hang_of_the_guest(stage: Stage) -> None:
    """The guest cannot be asked any more; it is not its fault."""
    steps = [*_TO_JUMP, {"signal": signal.SIGSTOP}]
    ran = stage.run(script(steps), stage.plan(budgets=HASTY))
    ran.ended(EndKind.HOST, P.JUMP, 2)
    assert "QEMU lives and does not answer (its process is stopped by a signal)" in ran.end.detail
    assert (ran.verdict.status, ran.verdict.cause) == (Status.ERROR, Cause.HOST)


def test_a_clock_that_was_set_is_not_called_a_hang_of_the_guest(stage: Stage) -> None:
    looks = iter((Clocks(0.0, 0.0), Clocks(1.0, 3600.0)))
    stage.play(script(_TO_JUMP))
    plan = stage.plan(budgets=HASTY)
    end = run_plan(plan, stage.root / "run", Silent(), helpers=replace(Helpers(), clocks=lambda: next(looks)))
    assert (end.kind, end.phase) == (EndKind.CLOCK_SKEW, P.JUMP)
    assert "1 s on the monotonic clock, 3600 s on the wall clock; no 'hello' report" in end.detail
