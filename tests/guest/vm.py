"""A small driver for the guest alone: QEMU with SeaBIOS, both serial ports drained, frames in a queue.

The real one is harness.machine; this one has no firmware, no QMP and no record, so that a failure is the guest's.
"""

from __future__ import annotations

import queue
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.clock import Deadline
from harness.machine.frame import Decoder, Frame, encode

from .shell import NONCE


class Vm:
    """A guest that runs. COM1 is ``console``; COM2 speaks frames."""

    def __init__(self, console: socket.socket, link: socket.socket) -> None:
        self.console = bytearray()
        self.facts: dict[str, bytes] = {}
        """Of the epoch that reported last."""
        self._link = link
        self._frames: queue.Queue[Frame | None] = queue.Queue()
        self._sequence = 0
        self._threads = [
            threading.Thread(target=self._read_console, args=[console], daemon=True),
            threading.Thread(target=self._read_link, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read_console(self, console: socket.socket) -> None:
        while data := console.recv(65536):
            self.console += data

    def _read_link(self) -> None:
        decoder = Decoder()
        while data := self._link.recv(65536):
            for frame in decoder.feed(data):
                self._frames.put(frame)
        self._frames.put(None)

    def send(self, kind: str, **fields: str) -> None:
        self._sequence += 1
        self.send_raw(encode(Frame(NONCE, self._sequence, kind, fields)))

    def send_raw(self, data: bytes) -> None:
        self._link.sendall(data)

    def expect(self, kind: str, timeout_s: float = 120) -> Frame:
        """The next frame that is no fact; it must be of this kind. Facts before it are kept in ``facts``."""
        deadline = Deadline.after(timeout_s)
        while True:
            try:
                frame = self._frames.get(timeout=deadline.remaining_s)
            except queue.Empty:
                frame = None
            assert frame is not None, (
                f"no {kind}; the console ends with {self.console[-2000:].decode(errors='replace')}"
            )
            if frame.kind == "hello":
                self.facts = {}
            if frame.kind == "fact":
                self.facts[frame.fields["name"]] = frame.body
                continue
            assert frame.kind == kind, f"{frame} instead of {kind}"
            return frame


@contextmanager
def booted(kernel: Path, initrd: Path, cmdline: str, disks: Sequence[tuple[str, Path]]) -> Iterator[Vm]:
    """Start QEMU; ``disks`` are serials and files of whole sectors. It is killed at the end of the block."""
    console, console_end = socket.socketpair()
    link, link_end = socket.socketpair()
    argv = [
        *("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-accel", "tcg", "-machine", "q35,smm=off"),
        *("-cpu", "max,-erms", "-m", "1024", "-nodefaults", "-display", "none", "-no-reboot"),
        *("-kernel", str(kernel), "-initrd", str(initrd), "-append", cmdline),
        *("-chardev", f"socket,id=com1,fd={console_end.fileno()}", "-serial", "chardev:com1"),
        *("-chardev", f"socket,id=com2,fd={link_end.fileno()}", "-serial", "chardev:com2"),
    ]
    for serial, path in disks:
        argv += ["-drive", f"if=none,format=raw,readonly=on,file={path},id={serial}"]
        argv += ["-device", f"virtio-blk-pci,drive={serial},serial={serial}"]
    with console, link:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, pass_fds=[console_end.fileno(), link_end.fileno()])
        console_end.close()
        link_end.close()
        try:
            yield Vm(console, link)
        finally:
            process.kill()
            process.wait()
