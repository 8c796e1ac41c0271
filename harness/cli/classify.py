"""``harness classify``: what crashed in a log of any console, without a run."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path

from harness.cli.exits import Exit
from harness.errors import InputError
from harness.evidence import crash
from harness.evidence.code.symbols import SymbolTable
from harness.evidence.crash import Report
from harness.evidence.defect import Defect
from harness.load.reading.logs import open_log


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command of this module."""
    parser = commands.add_parser(
        "classify",
        help="name the first crash in console logs",
        description="The first crash of each log, titled in syzkaller's words. Logs may be packed by gzip, bzip2, xz "
        "or zstd, and may have any prefix: a journal's, syslog's, a mail's.",
        epilog="Exit: 0 no crash in any log, 1 a crash in one at least, 2 one cannot be read or is no log.",
    )
    parser.add_argument("--all", action="store_true", help="all crashes of each log, not only the first")
    symbols = parser.add_mutually_exclusive_group()
    symbols.add_argument("--vmlinux", metavar="FILE", help="names for bare addresses: a vmlinux or a bzImage")
    symbols.add_argument("--kallsyms", metavar="FILE", help="the same from /proc/kallsyms or System.map")
    parser.add_argument("logs", nargs="+", metavar="LOG", help="a console log; - reads standard input")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(action=classify)


def classify(options: argparse.Namespace) -> Exit:
    """One line a log, in the order given. A log that cannot be read is said so, and the others are still classified.

    Raises:
        InputError: the file with the symbols has none.
    """
    crashed = unread = False
    table = _symbols(options.vmlinux or options.kallsyms)
    for name in options.logs:
        try:
            crashed |= _classify(name, table, options)
        except InputError as error:
            print(f"harness: {error.message}", file=sys.stderr)
            if error.hint:
                print(f"  {error.hint}", file=sys.stderr)
            unread = True
    if unread:
        return Exit.USAGE
    return Exit.FAIL if crashed else Exit.OK


def _classify(name: str, table: SymbolTable | None, options: argparse.Namespace) -> bool:
    """Prints what is in one log; whether there is a crash."""
    untold = crash.Untold()
    found = False
    with open_log(name) as log:
        reports = crash.every(log, table=table, untold=untold)
        for report in reports if options.all else itertools.islice(reports, 1):
            found = True
            print(json.dumps(_row(name, report)) if options.json else _line(name, report))
    if not found:
        print(json.dumps(_row(name, None)) if options.json else _line(name, None))
    for title, count in untold.counts.items() if options.all else ():
        print(f"harness: {name}: {count} more like this are not listed: {title}", file=sys.stderr)
    return found


def _symbols(name: str | None) -> SymbolTable | None:
    if name is None:
        return None
    from harness.kernel.image.symbols import read_file  # most logs have names, and need no kernel

    found = read_file(Path(name))
    if isinstance(found, Defect):
        raise InputError(
            found.text, hint="give the vmlinux or bzImage of the kernel that wrote the log, or its kallsyms"
        )
    return found


def _row(name: str, report: Report | None) -> dict[str, object]:
    fields = ("title", "kind", "severity", "start", "end", "line", "epoch", "frame", "corrupted", "signature")
    row = {"file": name} | {field: getattr(report, field, None) for field in fields}
    return row | {"backtrace": [frame.text for frame in report.backtrace] if report is not None else None}


def _line(name: str, report: Report | None) -> str:
    if report is None:
        return f"{name}: no crash"
    doubt = f"; not reliable: {report.corrupted}" if report.corrupted else ""
    return (
        f"{name}:{report.line}: {report.title}  ({report.kind}, {report.severity}, epoch {report.epoch}, "
        f"bytes {report.start}-{report.end}, {report.signature}{doubt})"
    )
