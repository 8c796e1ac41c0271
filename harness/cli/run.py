"""``harness run``: boot, kexec, judge."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from harness.cli import setting
from harness.cli.exits import Exit, exit_for
from harness.errors import InputError, Interrupted
from harness.model.causes import Cause
from harness.model.verdict import Verdict
from harness.record.store import check_writable, stored_text
from harness.report import text
from harness.report.progress import LiveProgress, PlainProgress
from harness.session.again import RUNS, Given
from harness.session.assembly import Choices, default_jobs, make_workshop, this_host
from harness.session.attempts import tally
from harness.session.session import Options, Session
from harness.session.stops import stops


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``harness run`` and its options."""
    parser = commands.add_parser("run", description=__doc__)
    setting.add_selection(parser)
    setting.add_directories(parser)
    add_run_options(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts as JSON; - for standard output")
    parser.add_argument("--repeat", type=_repeat, default=1, metavar="N", help="run each variant N times (1)")
    parser.add_argument("-j", "--jobs", type=_jobs, metavar="N", help="runs at the same time (default: one a core)")
    parser.set_defaults(action=run)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Options of every command that starts machines."""
    parser.add_argument("--runs", type=Path, default=RUNS, metavar="DIR", help="where records go (runs/)")
    parser.add_argument("--accel", default="auto", metavar="auto|kvm|tcg", help="accelerator (auto: try KVM, else TCG)")
    parser.add_argument("--offline", action="store_true", help="use nothing but the cache")
    parser.add_argument("--time-factor", type=float, default=1.0, metavar="N", help="give every phase N times as long")
    parser.add_argument(
        "--no-known-issues", action="store_true", help="judge as if kernels/known-issues.yaml were empty"
    )


def run(options: argparse.Namespace) -> Exit:
    """Run what the options mean and say what came of it."""
    choices = Choices(options.accel, options.offline, options.time_factor)
    variants = setting.variants(options)
    issues = () if options.no_known_issues else setting.places(options).known_issues()
    if options.json and str(options.json) != "-":
        _check_target(options.json)
    progress = _progress(len(variants) * options.repeat, quiet_stdout=str(options.json) == "-")
    with progress:
        host = this_host()
        jobs = options.jobs or default_jobs(host, len(variants) * options.repeat)
        workshop = make_workshop(setting.places(options), replace(choices, jobs=jobs), progress.message, host)
        check_writable(options.runs)
        memory_bytes = host.memory_available_bytes
        settings = Options(options.runs, jobs, issues, text.render, memory_bytes, given(options, choices).command)
        session = Session(workshop, settings, progress)
        with stops(session):
            verdicts = session.run(variants, options.repeat)
    if options.json:
        _write_json(options.json, verdicts)
    if str(options.json) != "-":
        _print(verdicts, len(variants) * options.repeat)
    if session.interrupted:
        records = sum(bool(verdict.run_dir) for verdict in verdicts)
        raise Interrupted(
            f"stopped on request; {records} of {len(variants) * options.repeat} runs have a record in {options.runs}"
        )
    return exit_for(verdicts)


def given(options: argparse.Namespace, choices: Choices) -> Given:
    """What the user gave, for the command that makes one of the runs again."""
    return Given(
        choices=choices,
        overrides=setting.overrides(options),
        scenarios=options.scenarios,
        kernels=options.kernels,
        runs=options.runs,
        known_issues=not options.no_known_issues,
    )


def _progress(total: int, *, quiet_stdout: bool) -> LiveProgress | PlainProgress:
    console = Console(stderr=True)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveProgress(console, total)
    return PlainProgress(sys.stderr if quiet_stdout else sys.stdout, total)


def _print(verdicts: Sequence[Verdict], total: int) -> None:
    # Of several, those that need a person; what was interrupted is told by the summary.
    needy = [verdict for verdict in verdicts if not verdict.as_expected and verdict.cause is not Cause.INTERRUPTED]
    full = verdicts if total == 1 else needy
    for verdict in full:
        print(stored_text(verdict) or text.render(verdict))
    if total > 1:
        print(text.summary(verdicts))
    for item in tally(verdicts):
        if item.flaky:
            print(f"FLAKY       {item}")


def _check_target(path: Path) -> None:
    """Refuse a --json file that cannot be written, now and not after the last run."""
    if path.is_dir():
        raise InputError(f"--json {path}: this is a directory", hint="name a file in it, or - for standard output")
    if not path.parent.is_dir():
        raise InputError(f"--json {path}: there is no directory {path.parent}")
    try:
        with tempfile.TemporaryFile(dir=path.parent), suppress(FileNotFoundError), path.open("r+b"):
            pass
    except OSError as error:
        raise InputError(f"--json {path}: cannot be written ({error.strerror})") from error


def _write_json(path: Path, verdicts: Sequence[Verdict]) -> None:
    document = {
        "format": 1,
        "exit": int(exit_for(verdicts)),
        "flaky": [item.model_dump(mode="json") for item in tally(verdicts) if item.flaky],
        "verdicts": [verdict.model_dump(mode="json") for verdict in verdicts],
    }
    data = json.dumps(document, indent=1) + "\n"
    if str(path) == "-":
        sys.stdout.write(data)
        return
    try:
        path.write_text(data)
    except OSError as error:
        raise InputError(f"--json {path}: {error.strerror}") from error


def _repeat(value: str) -> int:
    if not value.isdigit() or not 1 <= int(value) <= 10_000:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number from 1 to 10000")
    return int(value)


def _jobs(value: str) -> int:
    if not value.isdigit() or not 1 <= int(value) <= 64:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number from 1 to 64")
    return int(value)
