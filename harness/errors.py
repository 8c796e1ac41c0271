"""The exception tree of the harness.

    HarnessError                 anything the harness says about itself; carries a hint
    ├── InputError               what the user gave is wrong: a file, an option, a name (exit 2)
    │   └── ScenarioErrors       every mistake of one scenario file at once
    ├── HostError                this machine lacks something or refused something (exit 3)
    │   └── QemuError            QEMU did not start, died, or answered a command with an error
    │       └── SilentQemuError  it does not answer any more
    ├── InternalError            a bug of the harness itself (exit 3); see harness.internal
    └── Interrupted              the user asked to stop (exit 130)

Errors carry objects (paths, marks, a hint), ``str()`` is one short line, and the cause is chained.
Only ``harness.cli`` and ``harness.pytest_plugin`` turn one into text for a person or an exit code.
What the *kernel or firmware under test* does wrong is never an exception: it is a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class HarnessError(Exception):
    """Root of the tree. ``hint`` says what to do about it, or is empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(HarnessError):
    """Bad input from the user: refused completely, before anything was started."""


@dataclass(frozen=True, order=True)
class Mistake:
    """One mistake in an input file. ``line`` and ``column`` count from 1, as editors do."""

    file: str
    line: int
    column: int
    path: str
    """Dotted path inside the document, such as ``steps[1].kexec.syscall``; empty for the whole document."""
    message: str
    """What was seen, what is allowed, and perhaps a did-you-mean; one line."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class ScenarioErrors(InputError):
    """All mistakes of one or more input files, sorted by place."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes))
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


class HostError(HarnessError):
    """The host lacks a program, a file, a permission, memory or space."""


class QemuError(HostError):
    """QEMU could not be started, died, or refused a command.

    ``argv`` is the full command, ``output`` what QEMU wrote to stderr: what one needs at 2 a.m. ``status`` is its exit
    status (negative: the signal) when it ended while it was being started.
    """

    def __init__(
        self, message: str, *, argv: Sequence[str] = (), output: str = "", hint: str = "", status: int | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.argv = tuple(argv)
        self.output = output
        self.status = status


class SilentQemuError(QemuError):
    """QEMU does not answer any more: the connection ended, or a command took longer than it may."""


class InternalError(HarnessError):
    """Something raised what nobody foresaw. The hint says where the traceback is, and to report it."""


class Interrupted(HarnessError):
    """Ctrl-C or SIGTERM: the run was stopped on request; its record is kept."""
