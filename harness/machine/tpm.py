"""The machine's TPM: swtpm, a program of its own that QEMU talks to over a socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.machine.feed import Feed
from harness.machine.port import cannot_write
from harness.machine.process import Process, Role

LOG = "swtpm.log"
STATE = "tpm"
"""The directory of the run that holds the TPM's state: a new TPM for each run."""
_ROLE = Role("swtpm", "swtpm")


@dataclass(frozen=True)
class Tpm:
    """A TPM 2.0 that QEMU can be given; made by ``start``, gone when its block is left."""

    process: Process
    theirs: socket.socket
    """QEMU's end, to be passed to it and closed here once it has started."""

    @classmethod
    @contextmanager
    def start(cls, program: Path, directory: Path, feed: Feed) -> Iterator[Tpm]:
        """Start ``program`` for the run in ``directory``. Its end goes to ``feed``, as HelperExited.

        It ends when QEMU does (--terminate: also when QEMU is killed). Like QEMU it is killed when the thread that
        calls this ends.

        Raises:
            QemuError: it cannot be started.
            HostError: the run directory cannot be written.
        """
        try:
            (directory / STATE).mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_write(directory / STATE, error) from error
        swtpms, qemus = socket.socketpair()
        with qemus:
            with swtpms:
                # The state's directory is relative: in an option of swtpm a path may hold no comma.
                argv = (
                    *(str(program), "socket", "--tpm2", "--tpmstate", f"dir={STATE}"),
                    *("--ctrl", f"type=unixio,clientfd={swtpms.fileno()}", "--terminate"),
                )
                process = Process.start(argv, directory / LOG, feed, (swtpms.fileno(),), role=_ROLE, cwd=directory)
            try:
                yield cls(process, qemus)
            finally:
                process.stop()
