"""``harness fuzz``: random scenarios; the first that fails is made small and written to a file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from harness.cli import setting
from harness.cli.exits import Exit, exit_for
from harness.evidence.faking import entries as fakemem
from harness.fuzz.campaign import Result, search
from harness.fuzz.fake_mem import Bench, write_scenario
from harness.model.causes import Status
from harness.model.record import Phase
from harness.model.verdict import Verdict
from harness.record.store import check_writable
from harness.report import text
from harness.session.assembly import Choices, make_workshop, this_host
from harness.session.session import Options, Session
from harness.session.stops import stops


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``harness fuzz`` and its options."""
    parser = commands.add_parser("fuzz", description=__doc__)
    parser.add_argument("subject", choices=["fake-mem"], help="fake-mem: efi_fake_mem= near borders of descriptors")
    parser.add_argument(
        "--kernel", required=True, metavar="NAME|FILE", help="a name of the registry, a bzImage or .deb"
    )
    parser.add_argument("--runs", type=_count, default=100, metavar="N", help="command lines to try (100)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="the same seed tries the same again (1)")
    parser.add_argument("--out", type=Path, default=Path("fuzz"), metavar="DIR", help="for the scenario file (fuzz/)")
    parser.add_argument("--records", type=Path, default=Path("runs"), metavar="DIR", help="for failed runs (runs/)")
    parser.add_argument("--accel", default="auto", metavar="auto|kvm|tcg", help="accelerator (auto: try KVM, else TCG)")
    parser.add_argument("--offline", action="store_true", help="use nothing but the cache")
    parser.add_argument("--time-factor", type=float, default=1.0, metavar="N", help="give every phase N times as long")
    setting.add_directories(parser)
    parser.set_defaults(action=run)


def run(options: argparse.Namespace) -> Exit:
    """Search, and say what came of it."""
    choices = Choices(options.accel, options.offline, options.time_factor)
    for directory in (options.records, options.out):
        check_writable(directory)
    with _Progress() as progress:
        host = this_host()
        workshop = make_workshop(setting.places(options), choices, progress.message, host)
        settings = Options(options.records, render=text.render, memory_bytes=host.memory_available_bytes)
        session = Session(workshop, settings, progress)
        bench = Bench(session, options.kernel, progress.message)
        with stops(session):
            first = bench.survey()
            if first.status is not Status.PASS:
                progress.message(text.render(first))
                return exit_for([first])
            result = search(bench.trial, bench.regions, runs=options.runs, seed=options.seed)
    return conclude(options, bench, result)


def conclude(options: argparse.Namespace, bench: Bench, result: Result) -> Exit:
    """Say what came of a search, and keep the scenario of what was found."""
    if result.found is None:
        said = f", {result.unknown} of them without an answer" if result.unknown else ""
        print(f"nothing found in {result.runs} runs with seed {options.seed} on {options.kernel}{said}")
        return Exit.ERROR if result.unknown else Exit.OK
    found = result.found
    path, name = write_scenario(options.out, found, bench.regions, kernel=options.kernel, seed=options.seed)
    print(f"found in run {found.run}: {fakemem.cmdline_parameter(found.first)}")
    print(f"smallest ({found.trials} more runs): {fakemem.cmdline_parameter(found.smallest)}")
    print(f"written to {path} as {name}; run it: harness run {path} --no-known-issues")
    return Exit.FAIL


class _Progress:
    """On a terminal the phase of the run in the last line; each message a line of its own, everywhere."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr, highlight=False, markup=False, soft_wrap=True)
        self._status = self._console.status("") if self._console.is_terminal else None

    def __enter__(self) -> _Progress:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._status is not None:
            self._status.stop()

    def started(self, variant: str) -> None:
        pass

    def phase(self, variant: str, phase: Phase, epoch: int, detail: str) -> None:
        if self._status is not None:
            self._status.update(f"{variant}: epoch {epoch} {phase} {detail}")

    def line(self, variant: str, line: str) -> None:
        pass

    def message(self, message: str) -> None:
        self._console.print(message)

    def finished(self, verdict: Verdict) -> None:
        pass


def _count(value: str) -> int:
    if not value.isdigit() or not 1 <= int(value) <= 100_000:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number from 1 to 100000")
    return int(value)
