"""A small client of QEMU's gdb stub: write watchpoints, registers, memory, on a machine that already runs.

The GDB remote serial protocol (GDB manual, appendix E), of which this speaks what QEMU 7.2 (gdbstub/gdbstub.c) needs.
The stub stops the machine when a client comes, and at each watchpoint that is hit: both are STOP events that nobody
asked for on QMP, so all STOP and RESUME events count as asked while a session lasts.
"""

from __future__ import annotations

import re
import select
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.clock import Deadline
from harness.errors import QemuError
from harness.evidence.defect import Defect
from harness.evidence.ranges import Range
from harness.machine.qmp import Qmp
from harness.machine.registers import COMMAND, parse_registers
from harness.model.autopsy import Cpu

_MAX_PACKET_BYTES = 2**20
_READ_BYTES = 1024
"""Of one ``m``: QEMU's packets hold 4096 characters (MAX_PACKET_LENGTH)."""
_STOP = re.compile(r"[TS](?P<signal>[0-9a-f]{2})(?P<fields>.*)")
_THREAD = re.compile(r"thread:(?:p[0-9a-f]+\.)?(?P<number>[0-9a-f]+);")
_WATCH = re.compile(r"(?P<kind>|a|r)watch:(?P<address>[0-9a-f]+);")
SIGINT, SIGTRAP = 2, 5


@dataclass(frozen=True)
class Stop:
    """Why the stub says the machine stopped."""

    signal: int
    """SIGTRAP (5) for a watchpoint; SIGINT (2) when it was stopped from outside, by QMP for one."""
    cpu: int
    watched: int | None
    """The address that the watchpoint was set at, not the one that was written; None when it was none."""


class Gdb:
    """A session; made by ``attach``. The machine is stopped at its begin. For one thread at a time."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._stops: list[str] = []

    @classmethod
    @contextmanager
    def attach(cls, qmp: Qmp, *, timeout_s: float = 10.0) -> Iterator[Gdb]:
        """A session with the machine behind ``qmp``; it is left stopped, and let go as it is at the end.

        Raises:
            QemuError: QEMU has no gdb stub, is gone, or does not speak its protocol.
        """
        with tempfile.TemporaryDirectory(prefix="harness-gdb-") as place, socket.socket(socket.AF_UNIX) as listener:
            path = Path(place, "gdb.sock")  # short: a socket's path has 107 bytes at most
            listener.bind(str(path))
            listener.listen(1)
            listener.settimeout(timeout_s)
            with qmp.asked():
                qmp.execute("human-monitor-command", {"command-line": f"gdbserver unix:{path}"}, timeout_s=timeout_s)
                stream = _accept(listener)
                with stream:
                    session = cls(stream)
                    session._greet(Deadline.after(timeout_s))
                    yield session

    def watch(self, where: Range, *, timeout_s: float = 5.0) -> None:
        """Stop after any write to these virtual addresses, in every address space and on every CPU.

        Raises:
            QemuError: the stub cannot (KVM has four watchpoints of 8 bytes).
        """
        self._expect_ok(f"Z2,{where.start:x},{where.size_bytes:x}", timeout_s)

    def unwatch(self, where: Range, *, timeout_s: float = 5.0) -> None:
        """Take a watchpoint away.

        Raises:
            QemuError: there is none like it.
        """
        self._expect_ok(f"z2,{where.start:x},{where.size_bytes:x}", timeout_s)

    def go_on(self) -> None:
        """Let all CPUs run. The next thing the stub says is a stop.

        Raises:
            QemuError: the connection has ended.
        """
        self._send("c")
        self._acknowledged(Deadline.after(5.0))

    def wait_stop(self, deadline: Deadline) -> Stop | None:
        """The next stop, or None when none came before the deadline.

        Raises:
            QemuError: the connection has ended, or what came is no stop.
        """
        text = self._stops.pop(0) if self._stops else self._packet(deadline)
        if text is None:
            return None
        stop = parse_stop(text)
        if isinstance(stop, Defect):
            raise QemuError(f"QEMU's gdb stub: {stop}")
        return stop

    def read_physical(self, address: int, size_bytes: int, *, timeout_s: float = 5.0) -> bytes | None:
        """Guest-physical memory; None where there is none. The machine must be stopped.

        Raises:
            QemuError: the connection has ended, or the answer is not one.
        """
        self._expect_ok("Qqemu.PhyMemMode:1", timeout_s)
        try:
            return self.read_virtual(address, size_bytes, timeout_s=timeout_s)
        finally:
            self._expect_ok("Qqemu.PhyMemMode:0", timeout_s)

    def read_virtual(self, address: int, size_bytes: int, *, timeout_s: float = 5.0) -> bytes | None:
        """Memory as the CPU of the last stop sees it; None where nothing is mapped. The machine must be stopped.

        Raises:
            QemuError: the connection has ended, or the answer is not one.
        """
        data = bytearray()
        while len(data) < size_bytes:
            wanted = min(_READ_BYTES, size_bytes - len(data))
            answer = self._ask(f"m{address + len(data):x},{wanted:x}", timeout_s)
            if re.fullmatch(r"E[0-9a-f]{2}", answer):
                return None
            piece = _unhex(answer)
            if len(piece) != wanted:
                raise QemuError(f"QEMU's gdb stub gave {len(piece)} bytes of {wanted} at {address + len(data):#x}")
            data += piece
        return bytes(data)

    def write_physical(self, address: int, data: bytes, *, timeout_s: float = 5.0) -> None:
        """Change guest-physical memory. The machine must be stopped.

        Raises:
            QemuError: there is none, the connection has ended, or the answer is not one.
        """
        self._expect_ok("Qqemu.PhyMemMode:1", timeout_s)
        try:
            for at in range(0, len(data), _READ_BYTES):
                piece = data[at : at + _READ_BYTES]
                self._expect_ok(f"M{address + at:x},{len(piece):x}:{piece.hex()}", timeout_s)
        finally:
            self._expect_ok("Qqemu.PhyMemMode:0", timeout_s)

    def registers(self, *, timeout_s: float = 5.0) -> tuple[Cpu, ...]:
        """All CPUs, from the monitor: the stub's ``g`` has another form in each CPU mode. The machine must be stopped.

        Raises:
            QemuError: the connection has ended, or the answer is not one.
        """
        found = parse_registers(self.monitor(COMMAND, timeout_s=timeout_s))
        if isinstance(found, Defect):
            raise QemuError(f"QEMU's gdb stub: {found}")
        return found

    def monitor(self, line: str, *, timeout_s: float = 5.0) -> str:
        """What QEMU's monitor says to a command. The machine must be stopped.

        Raises:
            QemuError: the connection has ended, or the answer is not one.
        """
        deadline = Deadline.after(timeout_s)
        said = bytearray()
        answer = self._ask(f"qRcmd,{line.encode().hex()}", timeout_s)
        while answer.startswith("O") and answer != "OK":
            said += _unhex(answer[1:])
            answer = self._reply(deadline)
        if answer != "OK":
            raise QemuError(f"QEMU's gdb stub refused the monitor command {line!r}: {answer[:40]!r}")
        return said.decode("utf-8", "backslashreplace")

    def close(self) -> None:
        """End the session, from any thread: whoever waits in it gets a QemuError."""
        try:
            self._stream.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it has ended already

    def _greet(self, deadline: Deadline) -> None:
        self._ask("qSupported:swbreak+;hwbreak+", deadline.remaining_s)
        self._send("?")
        self._acknowledged(deadline)
        if self.wait_stop(deadline) is None:
            raise QemuError("QEMU's gdb stub did not answer in time")

    def _expect_ok(self, packet: str, timeout_s: float) -> None:
        answer = self._ask(packet, timeout_s)
        if answer != "OK":
            raise QemuError(f"QEMU's gdb stub refused {packet!r}: {answer[:40]!r}")

    def _ask(self, packet: str, timeout_s: float) -> str:
        deadline = Deadline.after(timeout_s)
        self._send(packet)
        self._acknowledged(deadline)
        return self._reply(deadline)

    def _reply(self, deadline: Deadline) -> str:
        """An answer; a stop that comes before it is kept for ``wait_stop``. (No other answer begins like one.)"""
        while True:
            text = self._packet(deadline)
            if text is None:
                raise QemuError("QEMU's gdb stub did not answer in time", hint="is QEMU stopped or very busy?")
            if not _STOP.fullmatch(text):
                return text
            self._stops.append(text)

    def _acknowledged(self, deadline: Deadline) -> None:
        while True:
            if not self._buffer and not self._receive(deadline):
                raise QemuError("QEMU's gdb stub did not acknowledge a packet in time")
            first = self._buffer[:1]
            if first == b"+":
                del self._buffer[:1]
                return
            if first != b"$":
                raise QemuError(
                    f"QEMU's gdb stub refused a packet or speaks no gdb protocol: {bytes(self._buffer[:20])!r}"
                )
            text = self._packet(deadline)  # a stop on its way while we spoke
            if text is not None:
                self._stops.append(text)

    def _send(self, packet: str) -> None:
        data = packet.encode()
        try:
            self._stream.sendall(b"$" + data + b"#%02x" % (sum(data) % 256))
        except OSError as error:
            raise QemuError(f"the connection to QEMU's gdb stub ended ({error.strerror or error})") from error

    def _packet(self, deadline: Deadline) -> str | None:
        """The next packet, acknowledged; None when it is not there before the deadline."""
        while True:
            packet = _take_packet(self._buffer)
            if isinstance(packet, Defect):
                raise QemuError(f"QEMU's gdb stub: {packet}")
            if packet is not None:
                try:
                    self._stream.sendall(b"+")
                except OSError as error:
                    raise QemuError("the connection to QEMU's gdb stub ended") from error
                return packet
            if not self._receive(deadline):
                return None

    def _receive(self, deadline: Deadline) -> bool:
        """More bytes; False when none came before the deadline."""
        poller = select.poll()
        poller.register(self._stream, select.POLLIN)
        if not poller.poll(deadline.remaining_s * 1000):
            return False
        try:
            data = self._stream.recv(65536)
        except OSError as error:
            raise QemuError(f"the connection to QEMU's gdb stub ended ({error.strerror or error})") from error
        if not data:
            raise QemuError("the connection to QEMU's gdb stub ended")
        self._buffer += data
        if len(self._buffer) > _MAX_PACKET_BYTES:
            raise QemuError("QEMU's gdb stub says more than a packet can hold")
        return True


def parse_stop(text: str) -> Stop | Defect:
    """A stop reply packet, such as ``T05thread:01;watch:ffff88803bfff000;``."""
    match = _STOP.fullmatch(text)
    if match is None:
        return Defect(f"not a stop: {text[:60]!r}")
    thread, watch = _THREAD.search(match["fields"]), _WATCH.search(match["fields"])
    # The stub numbers CPUs from 1.
    cpu = int(thread["number"], 16) - 1 if thread else 0
    watched = int(watch["address"], 16) if watch else None
    if cpu < 0 or (watched is not None and watched >= 2**64):
        return Defect(f"not a stop: {text[:60]!r}")
    return Stop(int(match["signal"], 16), cpu, watched)


def _take_packet(buffer: bytearray) -> str | Defect | None:
    """The first whole packet in the buffer, taken out of it; None when there is none yet."""
    while buffer[:1] == b"+":
        del buffer[:1]
    if not buffer:
        return None
    if buffer[:1] != b"$":
        return Defect(f"it speaks no gdb protocol: {bytes(buffer[:20])!r}")
    end = buffer.find(b"#")
    if end < 0 or len(buffer) < end + 3:
        return None
    data, checksum = bytes(buffer[1:end]), bytes(buffer[end + 1 : end + 3])
    del buffer[: end + 3]
    if checksum != b"%02x" % (sum(data) % 256):
        return Defect(f"a packet with the checksum {checksum!r}, which should be {sum(data) % 256:02x}")
    return data.decode("latin-1")


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise QemuError(f"QEMU's gdb stub gave no bytes: {text[:40]!r}") from error


def _accept(listener: socket.socket) -> socket.socket:
    try:
        stream, _ = listener.accept()
    except OSError as error:
        raise QemuError(
            f"QEMU did not connect its gdb stub ({error.strerror or error})", hint="was it built without gdb support?"
        ) from error
    return stream
