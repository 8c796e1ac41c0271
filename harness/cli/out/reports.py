"""The options that name a report format, one for each row of ``harness.report.formats``, and what they lead to."""

from __future__ import annotations

import argparse
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError
from harness.report.formats import NAMED, TEXT, Format


@dataclass(frozen=True)
class Target:
    """A format and where it goes."""

    format: Format
    path: Path

    @property
    def is_stdout(self) -> bool:
        return str(self.path) == "-"

    @property
    def option(self) -> str:
        """As the user wrote it, for messages."""
        return f"--{self.format.name} {self.path}"


def add_files(parser: argparse.ArgumentParser) -> None:
    """``--NAME FILE`` for each format."""
    for item in NAMED:
        told = f"write the verdicts as {item.title}; - for standard output"
        parser.add_argument(f"--{item.name}", type=Path, metavar="FILE", help=told)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """``--NAME`` for each format, one of them at most."""
    group = parser.add_mutually_exclusive_group()
    for item in NAMED:
        group.add_argument(f"--{item.name}", action="store_true", help=f"as {item.title}")


def chosen(options: argparse.Namespace) -> Format:
    """The format that a flag of :func:`add_flags` names, or text."""
    return next((item for item in NAMED if getattr(options, item.name)), TEXT)


def targets(options: argparse.Namespace) -> tuple[Target, ...]:
    """The files that options of :func:`add_files` name.

    Raises:
        InputError: one cannot be written: told now and not after the last run.
    """
    found = tuple(Target(item, getattr(options, item.name)) for item in NAMED if getattr(options, item.name))
    to_stdout = [target.option for target in found if target.is_stdout]
    if len(to_stdout) > 1:
        raise InputError(
            f"{' and '.join(to_stdout)}: only one can have standard output", hint="name files for the others"
        )
    for target in found:
        if not target.is_stdout:
            _check(target)
    return found


def _check(target: Target) -> None:
    path = target.path
    if path.is_dir():
        raise InputError(f"{target.option}: this is a directory", hint="name a file in it, or - for standard output")
    if not path.parent.is_dir():
        raise InputError(f"{target.option}: there is no directory {path.parent}")
    try:
        with tempfile.TemporaryFile(dir=path.parent), suppress(FileNotFoundError), path.open("r+b"):
            pass
    except OSError as error:
        raise InputError(f"{target.option}: cannot be written ({error.strerror})") from error
