"""The table of commands, and a parser that imports a command's module only when that command was given."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

PROGRAM = "harness"


@dataclass(frozen=True)
class Command:
    """One command. Its module has ``add_parser(commands)``, which adds it (and perhaps others of that module)."""

    name: str
    help: str
    """One line, for ``harness --help``."""
    module: str


COMMANDS = (
    Command("run", "run scenarios and judge them", "harness.cli.run"),
    Command("list", "list the variants", "harness.cli.scenarios"),
    Command("check", "check scenario files; every mistake at once", "harness.cli.scenarios"),
    Command("schema", "print the JSON Schema of scenario files, for editors", "harness.cli.scenarios"),
    Command("judge", "judge a record again, without QEMU", "harness.cli.queries"),
    Command("show", "what a record holds, in order of time", "harness.cli.queries"),
    Command("classify", "name the first crash in console logs", "harness.cli.classify"),
    Command("memmap", "import a memory map from a console log, or look at one", "harness.cli.memmap"),
    Command("kernels", "list, fetch or build kernels", "harness.cli.kernels"),
    Command("fuzz", "look for failures with random scenarios", "harness.cli.fuzz"),
    Command("culprit", "run a failing overwrite again, watched, and name who wrote", "harness.cli.culprit"),
    Command("selftest", "test the harness itself on damaged runs", "harness.cli.selftest"),
    Command("doctor", "what is here and what is missing", "harness.cli.doctor"),
)
"""In the order of ``harness --help``."""


class LazyParser(argparse.ArgumentParser):
    """Stands for a command until argparse comes to it; then the command's own parser takes the rest of the line."""

    command: Command

    def parse_known_args(  # type: ignore[override]  # argparse calls it with the namespace left out, or None
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        return own_parser(self.command).parse_known_args(args, namespace)


def add_commands(parser: argparse.ArgumentParser) -> None:
    """All commands of the table; none of their modules is imported here."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=LazyParser)
    for command in COMMANDS:
        commands.add_parser(command.name, help=command.help, add_help=False).command = command


def own_parser(command: Command) -> argparse.ArgumentParser:
    """The parser that a command's module makes; imports the module."""
    commands = argparse.ArgumentParser(prog=PROGRAM).add_subparsers()
    import_module(command.module).add_parser(commands)
    parser: argparse.ArgumentParser = commands.choices[command.name]
    return parser
