"""``harness culprit``: run a failing overwrite again with write watchpoints, and name who wrote."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from harness.cli import setting
from harness.cli.exits import Exit
from harness.cli.run import add_run_options
from harness.culprit.culprit import Case, case_of_record, check_variant, investigate
from harness.errors import InputError
from harness.evidence.code.culprit import guilty
from harness.model.culprit import Culprit
from harness.record.store import check_writable
from harness.report import culprit as report
from harness.report import text
from harness.report.progress import PlainProgress
from harness.session.assembly import Choices, make_workshop, this_host
from harness.session.session import Options, Session
from harness.session.stops import stops

SLOWER = 2.0
"""A watched run under TCG takes half as long again; its budgets are doubled."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``harness culprit`` and its options."""
    parser = commands.add_parser(
        "culprit",
        description="Runs a scenario that loses a table again, with write watchpoints on the table, and names who "
        "wrote to it: phase, instruction pointer, function, kexec segment.",
        epilog="Exit: 0 the writer is named, 2 bad input or nothing was damaged in the record, 3 it did not happen "
        "again or the writer was not seen, 5 nobody wrote and nothing is damaged.",
    )
    setting.add_selection(parser)
    setting.add_directories(parser)
    add_run_options(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(action=culprit)


def culprit(options: argparse.Namespace) -> Exit:
    """Run it, and say who wrote."""
    case = _case(options)
    host = this_host()
    choices = Choices(options.accel, options.offline, options.time_factor * SLOWER)
    progress = PlainProgress(sys.stderr, 1)
    workshop = make_workshop(setting.places(options), choices, progress.message, host)
    check_writable(options.runs)
    settings = Options(options.runs, 1, (), text.render, host.memory_available_bytes)
    with ExitStack() as stack:

        def started(session: Session) -> None:
            stack.enter_context(stops(session))

        found = investigate(case, workshop, settings, progress, started=started)
    print(found.model_dump_json(indent=1) if options.json else report.render(found), end="\n" if options.json else "")
    return _exit(case, found)


def _case(options: argparse.Namespace) -> Case:
    """What is to be run: a record, or one variant.

    Raises:
        InputError: it is neither, or nothing to look for.
    """
    if len(options.patterns) != 1:
        raise InputError("harness culprit takes one run directory or one scenario id", hint="such as esrt/kexec-load")
    place = Path(options.patterns[0])
    if place.is_dir():
        if options.kernel or options.firmware or options.sets:
            raise InputError("a record is run again as it was: --kernel, --firmware and --set are for scenario ids")
        return case_of_record(place)
    variants = setting.variants(options)
    if len(variants) != 1:
        names = ", ".join(variant.id for variant in variants[:4])
        raise InputError(
            f"{place} means {len(variants)} variants: {names}{' ...' if len(variants) > 4 else ''}",
            hint="give one of them, or --kernel NAME",
        )
    return check_variant(variants[0])


def _exit(case: Case, found: Culprit) -> Exit:
    if guilty(found) is not None:
        return Exit.OK
    if found.damaged or case.damage or found.notes:
        return Exit.ERROR
    return Exit.NOTHING_TESTABLE
