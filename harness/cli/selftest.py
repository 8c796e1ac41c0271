"""``harness selftest``: damage real runs on purpose; every verdict must be the right one."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness.cli import setting
from harness.cli.exits import Exit
from harness.errors import InputError
from harness.record.store import check_writable
from harness.selftest.bench import Bench, Outcome
from harness.selftest.cases import CASES, Case
from harness.session.assembly import Choices, default_jobs, make_workshop, this_host

_KERNEL = "tiny-6.1"
_COLUMN = 16


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``harness selftest`` and its options."""
    parser = commands.add_parser("selftest", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="damage classes (--list shows them); default: all")
    parser.add_argument("--quick", action="store_true", help="only the damage classes that take seconds each")
    parser.add_argument("--list", action="store_true", help="show the damage classes and the verdicts they must get")
    parser.add_argument(
        "--kernel", default=_KERNEL, metavar="NAME|FILE", help=f"the kernel that is damaged ({_KERNEL})"
    )
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="CHECK",
        help="judge without this check (run, identity, console ...): the selftest must then fail; may be given again",
    )
    parser.add_argument("--runs", type=Path, metavar="DIR", help="keep the records there (default: they are removed)")
    parser.add_argument("-j", "--jobs", type=int, metavar="N", help="runs at the same time (default: one a core)")
    parser.add_argument("--accel", default="auto", metavar="auto|kvm|tcg", help="accelerator (auto: try KVM, else TCG)")
    parser.add_argument("--offline", action="store_true", help="use nothing but the cache")
    parser.add_argument("--time-factor", type=float, default=1.0, metavar="N", help="give every phase N times as long")
    parser.add_argument("--json", action="store_true", help="the outcomes as JSON, on standard output")
    setting.add_directories(parser)
    parser.set_defaults(action=run)


def run(options: argparse.Namespace) -> Exit:
    """Run the cases and say what came of them."""
    cases = _chosen(options)
    if options.list:
        for case in cases:
            print(f"{case.name:<{_COLUMN}} {case.what}: {case.expected}")
        return Exit.OK
    with ExitStack() as stack:
        runs = options.runs or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="harness-selftest-")))
        check_writable(runs)
        stream = sys.stderr if options.json else sys.stdout
        host = this_host()
        jobs = options.jobs or default_jobs(host, len(cases))
        choices = Choices(options.accel, options.offline, options.time_factor, jobs)
        workshop = make_workshop(
            setting.places(options), choices, lambda text: print(text, file=stream, flush=True), host
        )
        bench = Bench(workshop, options.kernel, runs, jobs, frozenset(options.without))
        outcomes = bench.run(cases, lambda outcome: print(_line(outcome), file=stream, flush=True))
    wrong = [outcome for outcome in outcomes if not outcome.good]
    if options.json:
        json.dump(_document(outcomes, options.kernel), sys.stdout, indent=1)
        print()
    else:
        print(f"\n{len(outcomes) - len(wrong)} of {len(outcomes)} verdicts are the right ones")
    return Exit.FAIL if wrong else Exit.OK


def _chosen(options: argparse.Namespace) -> tuple[Case, ...]:
    known = {case.name: case for case in CASES}
    for name in options.cases:
        if name not in known:
            raise InputError(f"there is no damage class {name!r}", hint=f"there are: {', '.join(known)}")
    if options.jobs is not None and not 1 <= options.jobs <= 64:
        raise InputError(f"--jobs {options.jobs}: not a number from 1 to 64")
    named = tuple(known[name] for name in options.cases) or CASES
    return tuple(case for case in named if case.quick or not options.quick)


def _line(outcome: Outcome) -> str:
    word = "ok" if outcome.good else "WRONG"
    text = f"{word:<6}{outcome.case.name:<{_COLUMN}} {outcome.case.expected} ({outcome.seconds:.0f} s)"
    if not outcome.good:
        return f"{text}\n      {outcome.problem}"
    blind = outcome.blind
    if blind is not None:
        cause = f" {blind.cause}" if blind.cause else ""
        text += f"; without {' and '.join(outcome.case.detectors)}: {blind.status}{cause}"
    return text


def _document(outcomes: Sequence[Outcome], kernel: str) -> dict[str, Any]:
    return {
        "format": 1,
        "kernel": kernel,
        "right": sum(outcome.good for outcome in outcomes),
        "wrong": sum(not outcome.good for outcome in outcomes),
        "cases": [_entry(outcome) for outcome in outcomes],
    }


def _entry(outcome: Outcome) -> dict[str, Any]:
    case, verdict, blind = outcome.case, outcome.verdict, outcome.blind
    return {
        "name": case.name,
        "what": case.what,
        "right": outcome.good,
        "expected": {"status": case.expected.status, "cause": case.expected.cause, "epoch": case.expected.epoch},
        "got": {"status": verdict.status, "cause": verdict.cause, "epoch": verdict.epoch, "phase": verdict.phase},
        "headline": verdict.headline,
        "detectors": list(case.detectors),
        "without_detectors": None if blind is None else {"status": blind.status, "cause": blind.cause},
        "problem": outcome.problem,
        "seconds": round(outcome.seconds, 1),
        "run_dir": outcome.run_dir,
    }
