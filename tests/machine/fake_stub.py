"""A stand-in for QEMU's gdb stub on one end of a socketpair: answers by a table, and can misbehave."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from harness.machine.gdb import Gdb

Answer = bytes | list[bytes] | Callable[[str], bytes | list[bytes]]


def packet(text: str) -> bytes:
    data = text.encode()
    return b"$" + data + b"#%02x" % (sum(data) % 256)


class Stub:
    """``answers`` by the longest prefix of the packet; bytes are sent as they are, after the ``+``."""

    def __init__(self, ours: socket.socket, answers: dict[str, Answer]) -> None:
        self._ours = ours
        self._answers = answers
        self.heard: list[str] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def say(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._ours.sendall(data)

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._ours.close()

    def _serve(self) -> None:
        buffer = b""
        while data := self._receive():
            buffer = (buffer + data).lstrip(b"+")
            while b"#" in buffer and len(buffer) >= buffer.index(b"#") + 3:
                end = buffer.index(b"#")
                self._hear(buffer[1:end].decode())
                buffer = buffer[end + 3 :].lstrip(b"+")

    def _hear(self, text: str) -> None:
        self.heard.append(text)
        prefix = max((key for key in self._answers if text.startswith(key)), key=len, default=None)
        if prefix is None:
            self.say(b"+" + packet(""))
            return
        answer = self._answers[prefix]
        answer = answer(text) if callable(answer) else answer
        for piece in [answer] if isinstance(answer, bytes) else answer:
            if piece == b"DIE":
                with contextlib.suppress(OSError):
                    self._ours.shutdown(socket.SHUT_RDWR)
            else:
                self.say(piece)

    def _receive(self) -> bytes:
        try:
            return self._ours.recv(4096)
        except OSError:
            return b""


@contextlib.contextmanager
def stub(answers: dict[str, Answer]) -> Iterator[tuple[Gdb, Stub]]:
    """A session with a stub."""
    ours, theirs = socket.socketpair()
    fake = Stub(ours, answers)
    try:
        with theirs:
            yield Gdb(theirs), fake
    finally:
        fake.end()
