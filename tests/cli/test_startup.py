"""What each command imports, as sets of modules: red as soon as somebody adds an import that every command pays for."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from harness.cli.commands import COMMANDS, Command, LazyParser, own_parser

ROOT = Path(__file__).parents[2]
CHILD = """
import sys
before = set(sys.modules)
from harness.cli import main
try:
    status = main(sys.argv[1:])
except SystemExit as end:
    status = end.code
names = sorted(set(sys.modules) - before)
import json
print(json.dumps([status, names]), file=sys.stderr)
"""
FIRST = {"harness", "harness.cli", "harness.errors"}
FIRST |= {f"harness.cli.{name}" for name in ("commands", "dispatch", "exits", "out", "out.output")}
PYDANTIC = {"pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"}
CRASH_LOG = b"[    1.000000] BUG: kernel NULL pointer dereference, address: 0000000000000000\n"


def imported(*arguments: str, status: int = 0) -> set[str]:
    """The modules that a command imports; it must end with this exit status."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    ended, names = json.loads(done.stderr.splitlines()[-1])
    assert (ended or 0) == status, done.stderr
    return set(names)


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.partition(".")[0] == "harness"}


def rooms(names: set[str]) -> set[str]:
    """``evidence`` for ``harness.evidence.crash.parser``."""
    return {name.split(".")[1] for name in ours(names) if "." in name}


def foreign(names: set[str]) -> set[str]:
    """The packages that are neither Python's nor ours; what an extension module leaves behind is none."""
    packages = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"harness"}
    return {name for name in packages if not name.startswith(("_", "cython"))}


def test_help_imports_the_table_of_commands_and_no_more() -> None:
    names = imported("--help")
    assert ours(names) == FIRST
    assert foreign(names) == set()
    assert names & {"asyncio", "email", "importlib.metadata", "json", "subprocess"} == set()


def test_version_imports_what_tells_it_and_no_more() -> None:
    names = imported("--version")
    assert ours(names) == FIRST
    assert foreign(names) == set()


@pytest.mark.parametrize("options", [[], ["--all"], ["--json"]])
def test_classify_imports_the_crash_formats_and_no_packages(tmp_path: Path, options: list[str]) -> None:
    log = tmp_path / "console.log"
    log.write_bytes(CRASH_LOG)
    names = imported("classify", *options, str(log), status=1)  # there is a crash
    assert foreign(names) == set()
    assert rooms(names) == {"cli", "errors", "evidence", "model"}
    assert ours(names) & {f"harness.evidence.{name}" for name in ("tables", "vmcore")} == set()


@pytest.mark.parametrize("arguments", [["list"], ["check"], ["list", "--help"]])
def test_list_imports_scenarios_and_nothing_that_runs_them(arguments: list[str]) -> None:
    names = imported(*arguments)
    assert foreign(names) <= PYDANTIC | {"yaml"}
    assert rooms(names) == {"cli", "errors", "load", "model", "session"}
    assert {name for name in names if name.startswith("harness.session.")} == {"harness.session.places"}
    assert names & {f"harness.model.{name}" for name in ("plan", "record", "verdict", "autopsy")} == set()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_of_a_command_imports_no_other_command(command: Command) -> None:
    own = ("commands", "dispatch", "exits", "out", "out.output", "out.reports", "setting")
    shared = {"harness.cli", *(f"harness.cli.{name}" for name in own)}
    if command.name == "culprit":
        shared |= {"harness.cli.run", "harness.cli.out.document"}  # it has the options of run
    if command.name == "run":
        shared.add("harness.cli.out.document")
    if command.name == "classify":
        shared.add("harness.cli.logfile")
    names = {name for name in imported(command.name, "--help") if name.startswith("harness.cli")}
    assert names <= {*shared, command.module}
    assert command.module in names


def test_the_table_has_every_command_module_once() -> None:
    assert len({command.name for command in COMMANDS}) == len(COMMANDS)
    found = {path.stem for path in (ROOT / "harness/cli").glob("*.py") if "def add_parser(" in path.read_text()}
    assert {f"harness.cli.{name}" for name in found} == {command.module for command in COMMANDS}


@pytest.mark.parametrize("module", sorted({command.module for command in COMMANDS}))
def test_a_module_adds_the_commands_that_the_table_says(module: str) -> None:
    named = [command for command in COMMANDS if command.module == module]
    commands = argparse.ArgumentParser().add_subparsers()
    import_module(module).add_parser(commands)
    assert set(commands.choices) == {command.name for command in named}
    # ``kernels`` and ``memmap`` have an action for each of their verbs.
    verbs = module in ("harness.cli.kernels", "harness.cli.memmap")
    assert [callable(own_parser(command).get_default("action")) for command in named] == [not verbs] * len(named)


def test_a_lazy_parser_hands_the_rest_of_the_line_over(capsys: pytest.CaptureFixture[str]) -> None:
    parser = LazyParser()
    parser.command = next(command for command in COMMANDS if command.name == "classify")
    options, rest = parser.parse_known_args(["--all", "a.log", "--what"], None)
    assert (options.all, options.logs, rest) == (True, ["a.log"], ["--what"])
    with pytest.raises(SystemExit):
        parser.parse_known_args([])
    assert capsys.readouterr().err.startswith("usage: harness classify ")
