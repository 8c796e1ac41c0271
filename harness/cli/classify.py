"""``harness classify``: what crashed in a log of any console, without a run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.cli.exits import Exit
from harness.errors import InputError
from harness.evidence import crash
from harness.evidence.code.symbols import SymbolTable
from harness.evidence.crash import Report
from harness.evidence.defect import Defect

_STDIN = "-"
_LOOKED_AT_BYTES = 8192


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command of this module."""
    parser = commands.add_parser(
        "classify",
        help="name the first crash in console logs",
        description="The first crash of each log, titled in syzkaller's words. Exit 0 whether or not there is one.",
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
    status = Exit.OK
    table = _symbols(options.vmlinux or options.kallsyms)
    for name in options.logs:
        try:
            reports = _reports(_read(name), table, every=options.all)
        except InputError as error:
            print(f"harness: {error.message}", file=sys.stderr)
            status = Exit.USAGE
        else:
            for report in reports:
                print(json.dumps(_row(name, report)) if options.json else _line(name, report))
    return status


def _reports(data: bytes, table: SymbolTable | None, *, every: bool) -> Sequence[Report | None]:
    """What to print, a line each; None where there is no crash."""
    if every:
        return list(crash.every(data, table=table)) or [None]
    return [crash.first(data, table=table)]


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


def _read(name: str) -> bytes:
    """The bytes of a log.

    Raises:
        InputError: it cannot be read, or is no text.
    """
    try:
        data = sys.stdin.buffer.read() if name == _STDIN else Path(name).read_bytes()
    except OSError as error:
        raise InputError(f"{name}: {(error.strerror or str(error)).lower()}") from error
    if _is_binary(data[:_LOOKED_AT_BYTES]):
        raise InputError(f"{name}: not a console log: it begins with binary data")
    return data


def _is_binary(head: bytes) -> bool:
    """Whether more than an eighth is control characters; a console has a few NULs, colours and cursor movements."""
    controls = len(head) - len(head.translate(None, bytes(range(7)) + bytes(range(14, 27)) + bytes(range(28, 32))))
    return controls * 8 > len(head)


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
