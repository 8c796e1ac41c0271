"""The first crash of a log as one report: its title, its bounds, and whether it can be trusted."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.evidence.crash import parser, scan
from harness.evidence.crash.guilty import Where
from harness.evidence.crash.messages import Message, from_bytes
from harness.evidence.crash.table import Format
from harness.evidence.crash.values import Kind, Report, Severity

_WINDOW_BYTES = 1 << 18
"""The longest report that is looked at; lockdep's with all locks of all tasks are about half of it."""
_NEEDLES = scan.Needles.of(parser.FORMATS)


def first(data: bytes, start: int = 0) -> Report | None:
    """The first crash in ``data[start:]``, or None. ``start`` is the beginning of a line; offsets count from 0."""
    for line in scan.candidates(data, _NEEDLES, start):
        stop = data.find(b"\n", line)
        stop = len(data) if stop < 0 else stop + 1
        for message in from_bytes(data, line, stop):
            if parser.match(message) is not None:
                return _report(data, message)
    return None


def _report(data: bytes, begin: Message) -> Report:
    line = data.rfind(b"\n", 0, begin.start) + 1
    window = from_bytes(data, line, min(len(data), line + _WINDOW_BYTES))
    messages = [message for message in window if message.start >= begin.start]
    matched = parser.match(begin)
    if matched is None:  # pragma: no cover - the caller matched it
        raise ValueError("the report does not begin with a crash")
    row, match = matched
    rest = parser.rest_of(messages, 0, row)
    guilt = parser.blame_for(messages, 0, row)
    title = parser.title(row, match, rest, guilt, missing="corrupted")
    function = parser.named(row, match, guilt, strict=True)
    last, severity = _extent(messages, row)
    return Report(
        title=title,
        kind=row.kind,
        severity=severity,
        start=begin.start,
        end=messages[last].end,
        frame=function or None,
        frames=guilt.frames,
        corrupted=_corrupted(
            row, messages[: last + 1], function, dropped=_DROPPED.search(data, line, messages[last].end) is not None
        ),
        signature=parser.signature(row, title, guilt.frames),
    )


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
