"""The QEMU process and its helpers: started once, watched, always reaped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import QemuError
from harness.machine.feed import Feed
from harness.machine.happenings import Exited, HelperExited, Source
from harness.machine.port import cannot_write

ERRORS_BYTES = 8192


@dataclass(frozen=True)
class Role:
    """What a process is for: QEMU itself, or a ``helper`` that its machine cannot do without."""

    name: str
    package: str
    """The Debian package that has it."""
    helper: bool = True


QEMU = Role("QEMU", "qemu-system-x86", helper=False)


class Process:
    """A running QEMU, or a helper of it; made by ``start``."""

    def __init__(
        self, popen: subprocess.Popen[bytes], argv: Sequence[str], stderr: Path, feed: Feed, role: Role = QEMU
    ) -> None:
        self.argv = tuple(argv)
        self.pid = popen.pid
        self._popen = popen
        self._stderr = stderr
        self._feed = feed
        self._role = role
        self._reaping = threading.Lock()
        self._ended = threading.Event()
        self._status: int | None = None
        self._waiter = threading.Thread(target=self._wait, name=f"{role.name}-waiter".lower(), daemon=True)
        self._waiter.start()

    @classmethod
    def start(
        cls,
        argv: Sequence[str],
        stderr: Path,
        feed: Feed,
        pass_fds: Sequence[int],
        *,
        role: Role = QEMU,
        cwd: Path | None = None,
    ) -> Process:
        """Start ``argv`` in a session of its own, its stderr going to the file ``stderr``.

        It is killed when the *thread* that calls this ends (prctl(2), PR_SET_PDEATHSIG), so that no QEMU outlives a
        harness that was killed: call it from a thread that lives as long as the machine. Only ``pass_fds`` are
        inherited, also when several threads start machines at once.

        Raises:
            QemuError: QEMU is missing, not executable, or cannot be started.
            HostError: ``stderr`` cannot be written.
        """
        program = _find(argv, role)
        setpriv = shutil.which("setpriv")
        prefix = (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()
        try:
            output = stderr.open("wb")
        except OSError as error:
            raise cannot_write(stderr, error) from error
        with output:
            try:
                popen = subprocess.Popen(
                    (*prefix, program, *argv[1:]),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=pass_fds,
                    cwd=cwd,
                    start_new_session=True,
                )
            except OSError as error:
                raise QemuError(f"{program} cannot be started: {error.strerror or error}", argv=argv) from error
        return cls(popen, argv, stderr, feed, role)

    @property
    def status(self) -> int | None:
        """The exit status, negative for the signal that ended it; None while it runs."""
        return self._status

    def errors(self) -> str:
        """The end of what it wrote to stdout and stderr, at most ERRORS_BYTES."""
        try:
            data = self._stderr.read_bytes()
        except OSError:
            return ""
        return data[-ERRORS_BYTES:].decode("utf-8", "backslashreplace").strip()

    def wait(self, timeout_s: float) -> int | None:
        """The exit status, or None when it still runs after ``timeout_s``."""
        self._ended.wait(timeout_s)
        return self._status

    def stop(self, patience_s: float = 1.0) -> int:
        """End it, by SIGTERM and after ``patience_s`` by SIGKILL, and return its status. It is reaped then.

        May be called again, and after it ended by itself.
        """
        self._signal(signal.SIGTERM)
        if self.wait(patience_s) is None:
            self._signal(signal.SIGKILL)  # also ends a stopped (SIGSTOP) process
        self._waiter.join()
        return self._popen.returncode

    def _signal(self, number: signal.Signals) -> None:
        with self._reaping:  # the pid is ours until it is reaped, and it is reaped under this lock
            if self._status is None:
                os.kill(self.pid, number)

    def _wait(self) -> None:
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with self._reaping:
            status = self._status = self._popen.wait()
        self._ended.set()
        self._feed.push(Source.PROCESS, HelperExited(self._role.name, status) if self._role.helper else Exited(status))


def _find(argv: Sequence[str], role: Role) -> str:
    """The full path of ``argv[0]``."""
    program = shutil.which(argv[0])
    if program is not None:
        return program
    if Path(argv[0]).is_file():
        raise QemuError(
            f"{argv[0]} is not executable", argv=argv, hint=f"chmod +x {argv[0]}, or name another {role.name}"
        )
    raise QemuError(
        f"{argv[0]} was not found", argv=argv, hint=f"install it (Debian: apt install {role.package}), or correct PATH"
    )
