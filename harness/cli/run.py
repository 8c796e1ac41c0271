"""``harness run``: boot, kexec, judge."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from harness.cli import reports, setting
from harness.cli.exits import Exit, exit_for
from harness.errors import Interrupted
from harness.record.store import check_writable
from harness.report import text
from harness.report.progress import LiveProgress, PlainProgress
from harness.report.results import Results
from harness.session.assembly import Choices, default_jobs, make_workshop, this_host
from harness.session.session import Options, Session
from harness.session.stops import stops


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``harness run`` and its options."""
    parser = commands.add_parser("run", description=__doc__)
    setting.add_selection(parser)
    setting.add_directories(parser)
    add_run_options(parser)
    reports.add_files(parser)
    parser.add_argument("--repeat", type=_repeat, default=1, metavar="N", help="run each variant N times (1)")
    parser.add_argument("-j", "--jobs", type=_jobs, metavar="N", help="runs at the same time (default: one a core)")
    parser.set_defaults(action=run)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Options of every command that starts machines."""
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where records go (runs/)")
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
    targets, planned = reports.targets(options), len(variants) * options.repeat
    progress = _progress(planned, quiet_stdout=any(target.is_stdout for target in targets))
    with progress:
        host = this_host()
        jobs = options.jobs or default_jobs(host, planned)
        workshop = make_workshop(setting.places(options), replace(choices, jobs=jobs), progress.message, host)
        check_writable(options.runs)
        settings = Options(options.runs, jobs, issues, text.render, host.memory_available_bytes)
        session = Session(workshop, settings, progress)
        with stops(session):
            verdicts = session.run(variants, options.repeat)
    status = exit_for(verdicts)
    reports.write(targets, Results(verdicts, planned, int(status)), lambda told: print(told, end=""))
    if session.interrupted:
        records = sum(bool(verdict.run_dir) for verdict in verdicts)
        raise Interrupted(f"stopped on request; {records} of {planned} runs have a record in {options.runs}")
    return status


def _progress(total: int, *, quiet_stdout: bool) -> LiveProgress | PlainProgress:
    console = Console(stderr=True)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveProgress(console, total)
    return PlainProgress(sys.stderr if quiet_stdout else sys.stdout, total)


def _repeat(value: str) -> int:
    if not value.isdigit() or not 1 <= int(value) <= 10_000:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number from 1 to 10000")
    return int(value)


def _jobs(value: str) -> int:
    if not value.isdigit() or not 1 <= int(value) <= 64:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number from 1 to 64")
    return int(value)
