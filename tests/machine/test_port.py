"""The buffer of a serial port: what QEMU can write while nobody reads."""

from __future__ import annotations

import socket
from pathlib import Path

from harness.machine.feed import Feed
from harness.machine.happenings import Source
from harness.machine.port import Port


def writes_until_full(end: socket.socket, limit: int = 20_000) -> int:
    end.setblocking(False)
    for number in range(limit):
        try:
            end.send(b"x")
        except BlockingIOError:
            return number
    return limit


def test_a_port_holds_far_more_than_a_plain_socket(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        plain = writes_until_full(theirs)
    received: list[bytes] = []
    port = Port(Source.CONSOLE, Feed(), tmp_path / "log", received.append)
    written = writes_until_full(port.theirs)
    port.start()
    port.close()
    assert plain < written
    assert b"".join(received) == b"x" * written == (tmp_path / "log").read_bytes()
