"""harness.session.room: a guest that does not fit is not started"""

from __future__ import annotations

import threading

import pytest

from harness.errors import HostError
from harness.session.room import OVERHEAD_BYTES, MemoryRoom

GIB = 2**30


def test_a_guest_that_does_not_fit_even_alone() -> None:
    room = MemoryRoom(8 * GIB)
    with pytest.raises(HostError) as caught, room.hold(15 * GIB):
        pytest.fail("it was let in")
    assert caught.value.message == (
        "a guest of 15360 MiB needs 15616 MiB with QEMU itself; this host has 8192 MiB free"
    )
    with room.hold(8 * GIB - OVERHEAD_BYTES):
        pass


class Guest(threading.Thread):
    """Runs until it is told to end."""

    def __init__(self, room: MemoryRoom, size_bytes: int) -> None:
        super().__init__(daemon=True)
        self.room, self.size_bytes = room, size_bytes
        self.running, self.end = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with self.room.hold(self.size_bytes):
            self.running.set()
            assert self.end.wait(10)

    def stop(self) -> None:
        self.end.set()
        self.join(10)
        assert not self.is_alive()


def test_two_that_do_not_fit_together_run_one_after_the_other() -> None:
    room = MemoryRoom(8 * GIB)
    first = Guest(room, 5 * GIB)
    assert first.running.wait(10)
    second, third = Guest(room, 5 * GIB), Guest(room, GIB)
    assert third.running.wait(10)  # a small one fits beside the first
    assert not second.running.wait(0.1)
    third.stop()
    assert not second.running.wait(0.1)
    first.stop()
    assert second.running.wait(10)
    second.stop()


def test_nobody_waits_when_the_session_is_over() -> None:
    room = MemoryRoom(8 * GIB)
    first = Guest(room, 5 * GIB)
    assert first.running.wait(10)
    second = Guest(room, 5 * GIB)
    assert not second.running.wait(0.1)
    room.close()
    assert second.running.wait(10)
    first.stop()
    second.stop()


def test_without_a_limit_everything_fits() -> None:
    room = MemoryRoom(None)
    with room.hold(1 << 50), room.hold(1 << 50):
        pass
