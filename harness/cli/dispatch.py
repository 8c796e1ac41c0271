"""Parses the command line, runs a command, and turns every error into one clear message and an exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from harness.cli.commands import PROGRAM, add_commands
from harness.cli.exits import Exit, exit_of
from harness.cli.out.output import Outputs, outputs
from harness.errors import HarnessError, QemuError, ScenarioErrors


def main(arguments: Sequence[str] | None = None, stopped: Callable[[], bool] = lambda: False) -> int:
    """The ``harness`` command. Returns its exit code; nothing but a FAIL is 1.

    Args:
        stopped: whether a signal has raised KeyboardInterrupt.
    """
    with outputs() as both:
        status = _status(arguments, both, stopped)
        both.out.flush()
        return _with_output(status, both)


def _status(arguments: Sequence[str] | None, both: Outputs, stopped: Callable[[], bool]) -> int:
    try:
        options = _parser().parse_args(arguments)  # it imports the command's module
        both.out.spare = getattr(options, "spare_output", False)
        with _threads_told():
            return int(options.action(options))
    except SystemExit as end:  # --help and --version (0), bad arguments (2)
        return end.code if isinstance(end.code, int) else Exit.USAGE
    except HarnessError as error:
        return explain(error)
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:  # noqa: BLE001  # Python would exit with 1, which means FAIL
        return _unforeseen(error, stopped)


def _unforeseen(error: Exception, stopped: Callable[[], bool]) -> Exit:
    """Once a KeyboardInterrupt was raised it is the cause, also of an error that does not say so: libraries lose it."""
    from harness.internal import by_interrupt, internal_error

    return _interrupted() if stopped() or by_interrupt(error) else explain(internal_error(error))


def _interrupted() -> Exit:
    print("harness: stopped on request", file=sys.stderr)
    return Exit.INTERRUPTED


def _with_output(status: int, both: Outputs) -> int:
    """What is printed is all that many a command is for: lost without the reader's will, it is no success."""
    if not both.out.lost:
        return status
    print(f"harness: standard output could not be written: {both.out.lost}", file=sys.stderr)
    return Exit.ERROR if status == Exit.OK and not both.out.spare else status


@contextmanager
def _threads_told() -> Iterator[None]:
    """An exception that ends a thread gets the same line, and no traceback, as one that ends the command."""
    import threading

    def told(ended: threading.ExceptHookArgs) -> None:
        from harness.internal import internal_error

        if ended.exc_value is not None:
            explain(internal_error(ended.exc_value))

    before, threading.excepthook = threading.excepthook, told
    try:
        yield
    finally:
        threading.excepthook = before


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="QEMU/OVMF tests for the seams between UEFI firmware, kexec and kdump in the Linux kernel.",
        epilog="Exit: 0 all as expected, 1 FAIL, 2 usage or bad input, 3 ERROR (the harness itself, "
        "and output that was lost, included), 5 nothing was testable, 130 interrupted.",
    )
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    add_commands(parser)
    return parser


def explain(error: HarnessError) -> Exit:
    """Say an error on stderr. Returns what it means as an exit code."""
    if isinstance(error, ScenarioErrors):
        print(error.message, file=sys.stderr)
    else:
        print(f"harness: {error.message}", file=sys.stderr)
    if isinstance(error, QemuError) and error.output:
        print(f"  QEMU said: {error.output.strip()}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)
    return exit_of(error)


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
