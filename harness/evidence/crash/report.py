"""A crash of a log as one report: its title, its bounds, its backtrace, and whether it can be trusted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.evidence.code.symbols import SymbolTable
from harness.evidence.crash import parser, scan
from harness.evidence.crash.backtrace import backtrace, moved, named
from harness.evidence.crash.guilty import Where
from harness.evidence.crash.messages import Message, from_bytes
from harness.evidence.crash.table import Format
from harness.evidence.crash.values import Kind, Report, Severity

_WINDOW_BYTES = 1 << 18
"""The longest report that is looked at; lockdep's with all locks of all tasks are about half of it."""
_NEEDLES = scan.Needles.of(parser.FORMATS)


MAX_REPORTS = 100
"""A kernel that warns without end gives no more."""
_BANNER = b"Linux version "
_BEFORE_BANNER = re.compile(rb"(?:.*\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? |(?:\x1b\S*|[\s<>\d])*)")


def first(data: bytes, start: int = 0, *, table: SymbolTable | None = None) -> Report | None:
    """The first crash in ``data[start:]``, or None. Offsets count from the beginning of ``data``.

    ``table`` gives names to the addresses of a kernel that prints no names. KASLR is allowed for when the report says
    how far it moved the kernel.
    """
    begin = data.rfind(b"\n", 0, start) + 1
    for line in scan.candidates(data, _NEEDLES, begin):
        stop = data.find(b"\n", line)
        stop = len(data) if stop < 0 else stop + 1
        for message in from_bytes(data, line, stop):
            matched = parser.match(message) if message.start >= start else None
            if matched is not None and (matched[0].kind is not Kind.REBOOT or _is_unexpected(data, message.start)):
                return _report(data, message, table)
    return None


_LATELY_BYTES = 1 << 14
_RUNNING = re.compile(rb"^(?:<\d>)?\[ *\d+\.\d{6}\]", re.M)
_MEANT = re.compile(rb"Starting new kernel|reboot: |Restarting system|sysrq: |Kernel panic|Rebooting in ")


def _is_unexpected(data: bytes, at: int) -> bool:
    """Did a kernel run shortly before, that did not say that it would restart, panic or start another one?"""
    before = data[max(0, at - _LATELY_BYTES) : at]
    return _RUNNING.search(before) is not None and _MEANT.search(before) is None


def every(data: bytes, *, table: SymbolTable | None = None) -> Iterator[Report]:
    """All crashes of a log in their order, MAX_REPORTS at most. One begins behind the end of the one before."""
    start = 0
    for _ in range(MAX_REPORTS):
        report = first(data, start, table=table)
        if report is None:
            return
        yield report
        start = report.end


def _report(data: bytes, begin: Message, table: SymbolTable | None) -> Report:
    line = data.rfind(b"\n", 0, begin.start) + 1
    stop = min(len(data), line + _WINDOW_BYTES)
    messages = [message for message in from_bytes(data, line, stop) if message.start >= begin.start]
    if table is not None:
        here = moved(table, data, line, stop)
        messages = [named(message, here) for message in messages]
    matched = parser.match(begin)
    if matched is None:  # pragma: no cover - the caller matched it
        raise ValueError("the report does not begin with a crash")
    row, match = matched
    rest = parser.rest_of(messages, 0, row)
    guilt = parser.blame_for(messages, 0, row)
    title = parser.title(row, match, rest, guilt, missing="corrupted")
    function = parser.named(row, match, guilt, strict=True)
    last, severity = _extent(messages, row)
    end = messages[last].end
    return Report(
        title=title,
        kind=row.kind,
        severity=severity,
        start=begin.start,
        end=end,
        frame=function or None,
        frames=guilt.frames,
        corrupted=_corrupted(row, messages[: last + 1], function, dropped=_DROPPED.search(data, line, end) is not None),
        signature=parser.signature(row, title, guilt.frames),
        line=data.count(b"\n", 0, begin.start) + 1,
        epoch=_kernels(data, begin.start),
        backtrace=backtrace(message for message in rest if message.start < end),
    )


def _kernels(data: bytes, end: int) -> int:
    """How many banners of a kernel stand before ``end``, each at the beginning of a message."""
    count, at = 0, data.find(_BANNER, 0, end)
    while at >= 0:
        count += _BEFORE_BANNER.fullmatch(data, data.rfind(b"\n", 0, at) + 1, at) is not None
        at = data.find(_BANNER, at + 1, end)
    return count


# What a report is made of; other lines may stand between them.
_BODY = re.compile(
    r"\s*(?:Call [Tt]race:|(?:stack )?[Bb]acktrace:|</?(?:TASK|IRQ|NMI|SOFTIRQ|#DF)>|Modules linked in|Code: "
    r"|(?:CPU|PID): \d|Hardware name:|Workqueue: |R[0-9A-Z]{1,2}P?: |E[A-Z]{2}: |RIP|[CD]S: |FS: |CR\d: |DR\d: |PKRU"
    r"|x\d+ ?: |pc : |lr : |sp : |pstate: |(?:Read|Write) of size|Allocated by|Freed by|The buggy|Memory state"
    r"|page(?: |:)|flags: |raw: |\? |[\w.]+\+0x[0-9a-f]+/0x[0-9a-f]+|\[<[0-9a-f]+>\]|-> #\d|other info|locks? held by"
    r"|Possible |\*\*\* DEADLOCK|stack backtrace|irq event stamp|(?:hard|soft)irqs last|#\d+:|PGD |P4D |Oops|#PF: "
    r"|task:|NMI backtrace|Sending NMI|rcu: |RSP|CR2|Kernel Offset:|Dumping ftrace|[0-9a-f]{16} |Stack:|Tainted:"
    r"|which lock already|but task is|the existing dependency|is trying to|\(XEN\)|ExceptionData|!!!! "
    r"|R\w+ +- [0-9A-F]{16})"
)
_CLOSED = re.compile(
    r"-+\[ end (?:trace|Kernel panic)|Rebooting in |={20,}|\(XEN\) (?:\[.*\] )?(?:Reboot in|Manual reset)"
    r"|Memory Limit: "
)
_SILENCE = 40
"""So many messages without a line of a report end it."""


def _extent(messages: Sequence[Message], row: Format) -> tuple[int, Severity]:
    """The index of the report's last message, and the worst severity on the way.

    What closes a report is swallowed, and so is a crash that the report itself leads to: Oops, panic. Another report
    that begins after this one was closed is not.
    """
    last = 0
    worst = row.severity
    closed = False
    for index, message in enumerate(messages[1:], 1):
        if index - last > _SILENCE:
            break
        matched = parser.match(message)
        if matched is not None:
            leads_here = matched[0].kind is Kind.PANIC or not closed
            if not leads_here:
                break
            worst = min(worst, matched[0].severity, key=list(Severity).index)
            last = index
        elif _CLOSED.match(message.text):
            closed = True
            last = index
        elif not closed and _BODY.match(message.text):
            last = index
    return last, worst


_TAIL = re.compile(
    r"Kernel panic - not syncing: (?:kernel: )?(?P<what>Fatal exception|panic_on_warn set|hung_task: blocked tasks"
    r"|softlockup: hung tasks)"
)
_DROPPED = re.compile(rb"\*\* \d+ printk messages dropped")


def _corrupted(row: Format, messages: Sequence[Message], function: str, *, dropped: bool) -> str | None:
    """Why a report cannot be trusted, or None."""
    if dropped:
        return "the kernel dropped messages"
    if (m := _TAIL.match(messages[0].text)) is not None:
        return f"the beginning is missing: {m['what']} ends another report"
    if row.where not in (Where.NOWHERE, Where.GIVEN) and not function:
        return "the backtrace is missing, cut off, or names no function"
    other = next((m for m in messages[1:12] if (found := parser.match(m)) and parser.is_strange(row, found[0])), None)
    if other is not None:
        return f"another report begins inside it: {other.text[:80]}"
    return None
