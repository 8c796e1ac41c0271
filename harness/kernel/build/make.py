"""Runs make: its output goes to a log, its progress to whoever watches, and all its children end when we do."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness import clock
from harness.errors import HostError

Progress = Callable[[str], None]
TAIL_LINES = 15
_COMPILED = re.compile(r"\s+(?:CC|AS|HOSTCC|CC \[M\])\s")
_STEP = re.compile(r"\s+(?P<what>[A-Z][A-Z0-9_]*(?: \[M\])?)\s+(?P<file>\S+)")
_ERROR = re.compile(r"\berror:|undefined reference|multiple definition|: not found|Killed|No rule to make")
_FULL = "No space left on device"
_END_S = 10.0


class BuildError(HostError):
    """A program of the build failed. ``log`` has everything it said, ``tail`` the last lines."""

    def __init__(self, message: str, *, log: Path, tail: Sequence[str]) -> None:
        self.log = log
        self.tail = tuple(tail)
        super().__init__(message, hint="\n    ".join([f"the last lines of {log}:", *tail]))


@dataclass
class Maker:
    """Runs the steps of one build."""

    name: str
    log: Path
    environment: Mapping[str, str]
    progress: Progress
    interval_s: float = 10.0
    """At most so often progress is told while a step runs."""

    def run(self, phase: str, argv: Sequence[str], cwd: Path) -> int:
        """Run a program to its end.

        Returns:
            How many files it compiled.

        Raises:
            BuildError: it failed.
            HostError: it is missing, or the disk is full.
        """
        began_s = told_s = clock.now_s()
        self.progress(f"{self.name}: {phase}")
        compiled = 0
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        first_error = ""
        with self.log.open("a", encoding="utf-8", buffering=1) as log, _running(argv, cwd, self.environment) as process:
            log.write(f"+ {' '.join(argv)}\n")
            for line in _lines(process):
                log.write(line)
                tail.append(line.rstrip())
                compiled += _COMPILED.match(line) is not None
                if not first_error and _ERROR.search(line):
                    first_error = line.strip()
                if clock.now_s() - told_s >= self.interval_s:
                    told_s = clock.now_s()
                    self.progress(f"{self.name}: {phase}, {told_s - began_s:.0f} s, {compiled} files: {_short(line)}")
        if process.returncode != 0:
            raise self._failure(phase, process.returncode, first_error, list(tail))
        return compiled

    def _failure(self, phase: str, status: int, first_error: str, tail: Sequence[str]) -> HostError:
        if any(_FULL in line for line in [first_error, *tail]):
            return HostError(
                f"{self.name}: {phase}: the disk is full ({self.log})",
                hint="free some space (the build then goes on), or set HARNESS_CACHE to a directory on another disk",
            )
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return BuildError(f"{self.name}: {phase} failed: {first_error or how}", log=self.log, tail=tail)


@contextmanager
def _running(argv: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A program in a session of its own, all of which is ended with the block, and with us should we be killed."""
    setpriv = shutil.which("setpriv")
    prefix = (setpriv, "--pdeathsig", "TERM", "--") if setpriv else ()
    try:
        process = subprocess.Popen(
            (*prefix, *argv),
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise HostError(f"{argv[0]} is not installed", hint=f"apt-get install {argv[0]}") from error
    with process:
        try:
            yield process
        finally:
            _end(process)


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    if process.stdout is None:
        raise HostError("make has no output")
    yield from process.stdout
    process.wait()


def _end(process: subprocess.Popen[str]) -> None:
    """make removes its half-written targets when it is asked to end, so it is asked before it is killed."""
    if process.poll() is not None:
        return
    # not reaped yet, so the number is still that of its own group
    os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_S)
        return
    os.killpg(process.pid, signal.SIGKILL)


def _short(line: str) -> str:
    match = _STEP.match(line)
    return f"{match['what']} {match['file']}" if match else line.strip()[:60]
