"""Where a report ends: which of the lines behind its first are its own, and which begin another."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.evidence.crash import parser
from harness.evidence.crash.formats.table import Format
from harness.evidence.crash.formats.values import Kind, Severity
from harness.evidence.crash.messages import Message

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
_BANNER = re.compile(r"Linux version \d")
_SILENCE = 40
"""So many messages without a line of a report end it."""
_LATER_S = 10.0
"""A panic that comes later has another cause."""
_LOOK_BEHIND = 300
"""Messages behind the end that are kept: two reports at once may be told apart by who speaks."""
# Panics that a warning, a stall or a hung task asks for.
_ASKED_FOR = re.compile(
    r"Kernel panic - not syncing: (?:.*panic_on_warn|hung_task|softlockup|.*LOCKUP|RCU|.*[Ww]atchdog|Fatal exception"
    r"|sched_|.*[Ss]tall|UBSAN|KCSAN|KASAN|KMSAN|LOCKDEP|lockdep|panic_on)"
)
_TOGETHER = frozenset({Kind.PANIC, Kind.XEN, Kind.DOUBLE_FAULT})
"""Kinds that other reports end in."""


@dataclass(frozen=True)
class Extent:
    """A report's messages and some behind it, and where it ends."""

    messages: tuple[Message, ...]
    last: int
    """The index of its last message."""
    severity: Severity
    """The worst on the way."""
    other: str
    """The first line of another report that begins before this one was closed; empty: none does."""


def extent(messages: Iterator[Message], row: Format) -> Extent:
    """The extent of the report that begins with the first message.

    What closes a report is swallowed, and so is a crash that the report itself leads to: Oops, panic. Another report
    is not, whether or not this one was closed.
    """
    kept = [next(messages)]
    last, worst, closed, other, other_begins = 0, row.severity, False, "", False
    for index, message in enumerate(messages, 1):
        kept.append(message)
        if index - last > _SILENCE or (message.stamped and _BANNER.match(message.text)):
            break
        matched = parser.match(message)
        if matched is not None:
            if _is_another(row, worst, matched[0], (kept[0], kept[last], message), closed=closed):
                other_begins = True
                other = "" if closed or not parser.is_strange(row, matched[0]) else message.text
                break
            worst = min(worst, matched[0].severity, key=list(Severity).index)
            last = index
        elif _CLOSED.match(message.text):
            closed = True
            last = index
        elif not closed and _BODY.match(message.text):
            last = index
    # Where nobody says who speaks, all that follows another report's first line is that report's.
    told_apart = kept[0].context != "" or not other_begins
    kept.extend(itertools.islice(messages, _LOOK_BEHIND if told_apart else 0))
    return Extent(tuple(kept), last, worst, other)


def _is_another(
    row: Format, worst: Severity, found: Format, lines: tuple[Message, Message, Message], *, closed: bool
) -> bool:
    """Whether a crash behind a report's first line is none of its own. ``lines``: the first, the last so far, this."""
    first, last, message = lines
    if found.kind is Kind.PANIC and row.kind is not Kind.PANIC:
        if last.time_s is not None and message.time_s is not None and message.time_s - last.time_s > _LATER_S:
            return True
        return worst is Severity.WARNING and _ASKED_FOR.match(message.text) is None
    if closed:
        return True
    if parser.begins_again(row, first, found, message):
        return True
    return found.kind not in _TOGETHER and parser.is_strange(row, found)
