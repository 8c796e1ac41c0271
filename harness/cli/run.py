"""``harness run``: boot, kexec, judge."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from harness.cli import setting
from harness.cli.exits import Exit, exit_for
from harness.errors import InputError, Interrupted
from harness.model.verdict import Verdict
from harness.report import text
from harness.report.progress import LiveProgress, PlainProgress
from harness.run.assembly import Choices, default_jobs, make_workshop, this_host
from harness.run.session import Options, Session
from harness.run.store import check_writable


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``harness run`` and its options."""
    parser = commands.add_parser("run", help="run scenarios and judge them", description=__doc__)
    setting.add_selection(parser)
    setting.add_directories(parser)
    add_run_options(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts as JSON; - for standard output")
    parser.add_argument("-j", "--jobs", type=_jobs, metavar="N", help="runs at the same time (default: one a core)")
    parser.set_defaults(action=run)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Options of every command that starts machines."""
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where records go (runs/)")
    parser.add_argument("--accel", default="auto", metavar="auto|kvm|tcg", help="accelerator (auto: try KVM, else TCG)")
    parser.add_argument("--offline", action="store_true", help="use nothing but the cache")
    parser.add_argument(
        "--time-factor", type=_factor, default=1.0, metavar="N", help="give every phase N times as long"
    )
    parser.add_argument(
        "--no-known-issues", action="store_true", help="judge as if kernels/known-issues.yaml were empty"
    )


def run(options: argparse.Namespace) -> Exit:
    """Run what the options mean and say what came of it."""
    variants = setting.variants(options)
    issues = () if options.no_known_issues else setting.places(options).known_issues()
    check_writable(options.runs)
    if options.json and str(options.json) != "-" and not options.json.parent.is_dir():
        raise InputError(f"--json {options.json}: there is no directory {options.json.parent}")
    progress = _progress(len(variants), quiet_stdout=str(options.json) == "-")
    verdicts: Sequence[Verdict] = ()
    with progress:
        host = this_host()
        jobs = options.jobs or default_jobs(host, len(variants))
        choices = Choices(options.accel, options.offline, options.time_factor, jobs)
        workshop = make_workshop(setting.places(options), choices, progress.message, host)
        session = Session(workshop, Options(options.runs, jobs, issues, text.render), progress)
        with _stops(session):
            verdicts = session.run(variants)
    if options.json:
        _write_json(options.json, verdicts)
    if str(options.json) != "-":
        _print(verdicts, len(variants))
    if session.interrupted:
        raise Interrupted(
            f"stopped on request; {len(verdicts)} of {len(variants)} runs have a record in {options.runs}"
        )
    return exit_for(verdicts)


def _progress(total: int, *, quiet_stdout: bool) -> LiveProgress | PlainProgress:
    console = Console(stderr=True)
    if console.is_terminal:
        return LiveProgress(console, total)
    return PlainProgress(sys.stderr if quiet_stdout else sys.stdout, total)


@contextmanager
def _stops(session: Session) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the runs in order; each keeps its record."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        session.interrupt()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print(verdicts: Sequence[Verdict], total: int) -> None:
    full = verdicts if total == 1 else [verdict for verdict in verdicts if not verdict.as_expected]
    for verdict in full:
        print(text.render(verdict))
    if total > 1:
        print(text.summary(verdicts))


def _write_json(path: Path, verdicts: Sequence[Verdict]) -> None:
    document = {
        "format": 1,
        "exit": int(exit_for(verdicts)),
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


def _jobs(value: str) -> int:
    if not value.isdigit() or not 1 <= int(value) <= 64:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number from 1 to 64")
    return int(value)


def _factor(value: str) -> float:
    try:
        factor = float(value)
    except ValueError:
        factor = 0.0
    if not 0.1 <= factor <= 100:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number from 0.1 to 100")
    return factor
