"""Runs the guest's scripts under the host's busybox, with a terminal in the place of COM2."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.clock import Deadline
from harness.guest.tools import FILES
from harness.machine.frame import Decoder, Frame

NONCE = "1a2b3c4d"
_PRELUDE = """
nonce={nonce} epoch=1 carriage_return=$(printf '\\r')
. {files}/link.sh
. {files}/facts.sh
. {files}/commands.sh
link_open "$1"
"""


@dataclass
class Shell:
    """A script that runs, seen from the other end of its link."""

    master: int
    decoder: Decoder
    waiting: list[Frame]

    def send(self, data: bytes) -> None:
        os.write(self.master, data)

    def frames(self, count: int) -> list[Frame]:
        """The next ``count`` frames; fewer after ten seconds."""
        deadline = Deadline.after(10)
        while len(self.waiting) < count and select.select([self.master], [], [], deadline.remaining_s)[0]:
            self.waiting += self.decoder.feed(os.read(self.master, 65536))
        found, self.waiting = self.waiting[:count], self.waiting[count:]
        return found


@contextmanager
def running(
    script: str, tmp_path: Path, *, sys: Path | None = None, path: str = "", files: Path = FILES
) -> Iterator[Shell]:
    """Run ``script`` after the guest's functions; it is killed at the end of the block."""
    master, terminal = pty.openpty()
    # As in the guest, where nothing is sent before the hello: what comes before link_open is not echoed.
    tty.setraw(terminal)
    environment = {"PATH": path or os.environ["PATH"], "work": str(tmp_path / "work"), "sys": str(sys or tmp_path)}
    text = _PRELUDE.format(nonce=NONCE, files=files) + script
    process = subprocess.Popen(["busybox", "sh", "-c", text, "sh", os.ttyname(terminal)], env=environment)
    try:
        yield Shell(master, Decoder(), [])
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
        os.close(master)
