"""What one row of the tables of crash formats says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from harness.evidence.crash.formats.values import Kind, Severity
from harness.evidence.crash.guilty import Where


class Reason(StrEnum):
    """Where the reason stands that the title's ``{reason}`` gives."""

    HERE = "here"
    BEFORE = "before"
    """In the message before."""
    BEHIND = "behind"
    """In the message behind."""


@dataclass(frozen=True)
class Format:
    """One kind of crash.

    ``title`` may use the pattern's groups and two more: ``{where}`` is `` in FUNCTION``, ``{access}`` is `` Read`` or
    `` Write``; both are empty when the report does not say. ``{reason}`` is ``: `` and the
    text of the message beside it, or empty.
    """

    kind: Kind
    markers: tuple[str, ...]
    """One of them stands in every line that the pattern matches. The log is searched for them first, each in a pass of
    its own, so rows share them: a marker that holds another row's marker costs nothing."""
    pattern: re.Pattern[str]
    """Matched at the beginning of a message, so that a line which merely mentions a crash is none."""
    title: str
    severity: Severity
    where: Where
    skip: str = ""
    """A pattern of functions to pass over, besides the generic ones."""
    stamped: bool = False
    """Only with printk's timestamp: a program's output could match too."""
    alone: str = ""
    """The title when there is no backtrace at all; empty: the same title."""
    unnamed: str = ""
    """The title of a report that should name a function and does not, ``{said}`` for its first line; empty: the title
    with `` in corrupted``."""
    reason: Reason = Reason.HERE
    passing: bool = False
    """A remark, when a kernel boots behind it."""


def row(  # noqa: PLR0917 - the columns of a table, in their order
    kind: Kind,
    markers: str | tuple[str, ...],
    pattern: str,
    title: str,
    severity: Severity,
    where: Where = Where.NOWHERE,
    /,
    *,
    skip: str = "",
    stamped: bool = False,
    alone: str = "",
    unnamed: str = "",
    reason: Reason = Reason.HERE,
    passing: bool = False,
) -> Format:
    """A row of a table; ``pattern`` is compiled."""
    markers = (markers,) if isinstance(markers, str) else markers
    return Format(
        kind, markers, re.compile(pattern), title, severity, where, skip, stamped, alone, unnamed, reason, passing
    )


FUNCTION = r"(?P<function>[A-Za-z_][\w.]*)(?:\+0x[0-9a-f]+)?(?:/0x[0-9a-f]+)?"
"""A function with its offset, as %pS prints it."""
