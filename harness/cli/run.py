"""``harness run``: boot, kexec, judge."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from harness.cli import setting
from harness.cli.exits import Exit, despite_lost_document, exit_for
from harness.cli.out import reports
from harness.cli.out.document import Documents
from harness.errors import Interrupted
from harness.load.scenarios import Variant
from harness.model.verdict import KnownIssue, Verdict
from harness.record.store import check_writable
from harness.report import text
from harness.report.formats import TEXT
from harness.report.progress import LiveProgress, PlainProgress
from harness.report.results import untested
from harness.session.again import RUNS, Given
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
    parser.add_argument(
        "--require-tested",
        action="store_true",
        help="exit 3 when some of the runs cannot be tested here (UNSUPPORTED); when none can, exit 5 as always",
    )
    parser.add_argument("--repeat", type=_repeat, default=1, metavar="N", help="run each variant N times (1)")
    parser.add_argument("-j", "--jobs", type=_jobs, metavar="N", help="runs at the same time (default: one a core)")
    parser.set_defaults(action=run, spare_output=True)  # what is printed is also in the record and the exit code


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
    turns = tuple(variant.id for variant in variants for _ in range(options.repeat))
    documents = Documents(reports.targets(options), turns)
    with documents.of_what_ends_all():
        verdicts, session = _machines(options, choices, variants, issues, quiet_stdout=documents.on_stdout)
    judged = exit_for(verdicts, require_tested=options.require_tested)
    status = Exit.INTERRUPTED if session.interrupted else judged
    results = documents.results(status, verdicts)
    written = documents.write(results)
    with suppress(KeyboardInterrupt):  # all is done and written down: what was still to be printed is not worth more
        if not documents.on_stdout:
            print(TEXT.all(results), end="")
    if session.unheard is not None:
        print(
            f"harness: {session.unheard.message}; progress was no longer shown, the runs went on\n"
            f"  {session.unheard.hint}",
            file=sys.stderr,
        )
    if options.require_tested and untested(verdicts):
        print(f"harness: --require-tested: {text.not_testable(verdicts)}", file=sys.stderr)
    if session.interrupted:
        records = sum(bool(verdict.run_dir) for verdict in verdicts)
        raise Interrupted(f"stopped on request; {records} of {len(turns)} runs have a record in {options.runs}")
    return status if written else despite_lost_document(status)


def _machines(
    options: argparse.Namespace,
    choices: Choices,
    variants: Sequence[Variant],
    issues: tuple[KnownIssue, ...],
    *,
    quiet_stdout: bool,
) -> tuple[tuple[Verdict, ...], Session]:
    """Everything that takes time."""
    total = len(variants) * options.repeat
    progress = _progress(total, quiet_stdout=quiet_stdout)
    with progress:
        host = this_host()
        jobs = options.jobs or default_jobs(host, total)
        workshop = make_workshop(setting.places(options), replace(choices, jobs=jobs), progress.message, host)
        check_writable(options.runs)
        memory_bytes = host.memory_available_bytes
        settings = Options(options.runs, jobs, issues, text.render, memory_bytes, given(options, choices).command)
        session = Session(workshop, settings, progress)
        with stops(session):
            return session.run(variants, options.repeat), session


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


def _repeat(value: str) -> int:
    if not value.isdigit() or not 1 <= int(value) <= 10_000:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number from 1 to 10000")
    return int(value)


def _jobs(value: str) -> int:
    if not value.isdigit() or not 1 <= int(value) <= 64:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number from 1 to 64")
    return int(value)
