"""Parses the command line, runs a command, and turns every error into one clear message and an exit code."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from harness.cli.commands import PROGRAM, add_commands
from harness.cli.exits import Exit
from harness.errors import HarnessError, HostError, InputError, Interrupted, QemuError, ScenarioErrors


def main(arguments: Sequence[str] | None = None) -> int:
    """The ``harness`` command."""
    options = _parser().parse_args(arguments)
    try:
        with _terminated_like_interrupted():
            return int(options.action(options))
    except HarnessError as error:
        return _explain(error)
    except KeyboardInterrupt:
        print("harness: stopped on request", file=sys.stderr)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) went away; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does: what it has begun is cleaned up, and what it started is ended."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="QEMU/OVMF tests for the seams between UEFI firmware, kexec and kdump in the Linux kernel.",
        epilog="Exit: 0 all as expected, 1 FAIL, 2 usage or bad input, 3 ERROR, 5 nothing was testable.",
    )
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    add_commands(parser)
    return parser


def _explain(error: HarnessError) -> Exit:
    if isinstance(error, ScenarioErrors):
        print(error.message, file=sys.stderr)
    else:
        print(f"harness: {error.message}", file=sys.stderr)
    if isinstance(error, QemuError) and error.output:
        print(f"  QEMU said: {error.output.strip()}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)
    return _EXITS[next(kind for kind in _EXITS if isinstance(error, kind))]


_EXITS: dict[type[HarnessError], Exit] = {
    InputError: Exit.USAGE,
    HostError: Exit.ERROR,
    Interrupted: Exit.INTERRUPTED,
    HarnessError: Exit.ERROR,
}


class _Version(argparse.Action):
    """Looks the version up when it is asked for: importlib.metadata costs as much as all of ``--help``."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(nargs=0, **arguments)

    def __call__(self, parser: argparse.ArgumentParser, *_rest: Any) -> None:
        print(f"{PROGRAM} {_version()}")
        parser.exit()


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("efi-harness")
    except metadata.PackageNotFoundError:
        return "from a source tree"
