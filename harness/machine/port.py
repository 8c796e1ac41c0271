"""A serial port of the machine: one end of a socketpair, drained from before the first instruction.

The drain is a thread of its own because a serial port must never wait for the reader: the 16550 writes one byte at
a time, a Unix socket holds only some 280 such writes, and a full one stops the guest in its UART (measured: panic to
GUEST_PANICKED 52 s undrained, 0.1 s drained). Worse, a kernel waits 10 ms for its UART and then writes all the same
(wait_for_xmitr(), drivers/tty/serial/8250/8250_port.c), so on a busy host characters are lost: hence the large buffer.
The log is written here and not by QEMU's ``logfile=``, which repeats
bytes under back-pressure (QEMU 7.2).
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from harness.clock import Deadline
from harness.errors import HostError, QemuError
from harness.internal import internal_error
from harness.machine.feed import Feed
from harness.machine.happenings import Closed, Source

BLOCK_BYTES = 65536
BUFFER_BYTES = 32 * 2**20
"""Kernel memory that a port may hold before it is read: some 40000 writes of one byte. Used only while we are late."""
_SO_SNDBUFFORCE = 32
"""asm-generic/socket.h; the socket module has no name for it."""


class Port:
    """Our end of a port; ``theirs`` is QEMU's, to be passed to it and closed here once it has started.

    Args:
        deliver: called in the drain thread with each block of bytes, after the block is in ``log``; with ``b""`` at
            the end. ``feed`` hears of Closed after that.

    Raises:
        HostError: the log cannot be created.
    """

    def __init__(self, source: Source, feed: Feed, log: Path, deliver: Callable[[bytes], None]) -> None:
        self._source = source
        self._feed = feed
        self._log_path = log
        self._deliver = deliver
        try:
            self._log = log.open("wb", buffering=0)
        except OSError as error:
            raise cannot_write(log, error) from error
        self._ours, self.theirs = socket.socketpair()
        _enlarge(self.theirs)
        self._thread = threading.Thread(target=self._drain, name=f"drain-{source}", daemon=True)

    def start(self) -> None:
        """Begin to drain."""
        self._thread.start()

    def send(self, data: bytes, timeout_s: float = 5.0) -> bool:
        """Give all of ``data`` to QEMU; False when its end is closed.

        Raises:
            QemuError: QEMU took nothing for ``timeout_s`` seconds.
        """
        poller = select.poll()
        poller.register(self._ours, select.POLLOUT)
        deadline = Deadline.after(timeout_s)
        while data:
            sent = self.offer(data)
            if sent is None:
                return False
            data = data[sent:]
            if not sent and not poller.poll(deadline.remaining_s * 1000):
                raise QemuError(
                    f"the {self._source} port took no bytes for {timeout_s:g} s",
                    hint="QEMU hangs, or the guest does not read the port",
                )
        return True

    def offer(self, data: bytes) -> int | None:
        """Give what fits without waiting: the number of bytes taken, None when QEMU's end is closed."""
        try:
            return self._ours.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError:
            return None

    def close(self, patience_s: float = 1.0) -> None:
        """Close both ends and the log. Bytes that are already here are still delivered."""
        self.theirs.close()
        if self._thread.is_alive():
            self._thread.join(patience_s)  # QEMU is gone: the end comes by itself, after the last byte
            if self._thread.is_alive():
                with contextlib.suppress(OSError):  # its end may come between the two
                    self._ours.shutdown(socket.SHUT_RDWR)
                self._thread.join()
        self._ours.close()
        self._log.close()

    def _drain(self) -> None:
        try:
            while data := self._receive():
                self._write(data)
                self._deliver(data)
            self._deliver(b"")
        except Exception as error:  # noqa: BLE001  # without this every wait would look like a hang of the guest
            self._feed.fail(internal_error(error))
        finally:
            self._feed.push(self._source, Closed())

    def _receive(self) -> bytes:
        try:
            return self._ours.recv(BLOCK_BYTES)
        except OSError:  # a killed QEMU with unread input resets the connection
            return b""

    def _write(self, data: bytes) -> None:
        try:
            self._log.write(data)
        except OSError as error:  # go on draining: the guest must not stall while the run is being ended
            self._feed.fail(cannot_write(self._log_path, error))


def _enlarge(end: socket.socket) -> None:
    """Room for BUFFER_BYTES of writes; without CAP_NET_ADMIN as much as net.core.wmem_max allows (socket(7))."""
    try:
        end.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, BUFFER_BYTES)
    except PermissionError:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)


def cannot_write(path: Path, error: OSError) -> HostError:
    """The HostError for a file of the run directory that cannot be written."""
    return HostError(
        f"{path}: cannot be written: {error.strerror or error}",
        hint="free some space, or give another directory with --runs",
    )
