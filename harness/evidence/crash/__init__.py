"""Crashes on a console: tables of formats and one walk over the lines.

``find`` gives every line of a console that says that something broke; ``first`` gives the first crash of a log as one
report, from its first byte to its last, and ``every`` all of them. Titles follow syzkaller's wording, which kernel
people know.

To add a format, add a row to one of the tables in ``formats/``; see docs/crash-formats.md. A row's pattern is matched
at the beginning of a message (behind printk's timestamp), so a line that merely mentions a crash, from a program or in
an echoed command, is none.

A hash mismatch in the purgatory of kexec_file_load(2) has no row: it hangs without a word
(arch/x86/purgatory/purgatory.c). The purgatory of kexec-tools speaks only with --console-serial or --console-vga.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.evidence.crash import messages, parser
from harness.evidence.crash.backtrace import backtrace
from harness.evidence.crash.formats.values import Crash, Frame, Kind, Report, Severity
from harness.evidence.crash.log import Log
from harness.evidence.crash.report import MAX_ALIKE, Untold, every, first
from harness.evidence.klog import Line

__all__ = [
    "MAX_ALIKE", "Crash", "Frame", "Kind", "Log", "Report", "Severity", "Untold", "every", "find", "first",
]  # fmt: skip

_NEAR = 120
"""So many messages behind a report's first line its backtrace may begin and end: registers, modules, two stacks."""


def find(log: Iterable[Line]) -> tuple[Crash, ...]:
    """The crashes in a console, in order. Lines of one report (BUG, then Oops, then panic) give one each."""
    everything = tuple(messages.from_lines(log))
    found: list[Crash] = []
    for index, message in enumerate(everything):
        matched = parser.match(message)
        if matched is None:
            continue
        row, match = matched
        if row.kind is Kind.REBOOT:  # a run knows by itself which kernel begins when
            continue
        rest = parser.rest_of(everything, index, row)
        guilt = parser.blame_for(everything, index, row)
        said = parser.reason(row, everything[max(0, index - 5) : index], rest)
        title = parser.title(row, match, rest, guilt, missing="", said=said)
        found.append(
            Crash(
                title,
                row.severity,
                message.number,
                message.text,
                row.kind,
                message.start,
                parser.named(row, match, guilt, strict=False),
                backtrace(rest[:_NEAR]),
            )
        )
    return tuple(found)
