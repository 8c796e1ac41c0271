"""One walk over messages: which lines say that something broke, and what the lines behind them add."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from harness.evidence.crash import titles
from harness.evidence.crash.formats_damage import MEMORY, OTHERS, PANICS
from harness.evidence.crash.formats_faults import FAULTS, SANITIZERS
from harness.evidence.crash.formats_locks import HANGS, LOCKDEP, WARNINGS
from harness.evidence.crash.formats_platform import PLATFORM
from harness.evidence.crash.guilty import Blame, Where, blame
from harness.evidence.crash.messages import Message
from harness.evidence.crash.skip import is_generic
from harness.evidence.crash.table import Format
from harness.evidence.crash.trace import plain
from harness.evidence.crash.values import Kind

FORMATS: tuple[Format, ...] = (
    *PLATFORM, *SANITIZERS, *FAULTS, *MEMORY, *LOCKDEP, *HANGS, *WARNINGS, *PANICS, *OTHERS,
)  # fmt: skip
"""All rows; the first that matches a message wins."""

LOOK_AHEAD = 1500
"""Messages of a report in which its function is looked for."""

_BY_MARKER: Mapping[str, tuple[int, ...]] = {
    marker: tuple(index for index, row in enumerate(FORMATS) if marker in row.markers)
    for marker in sorted({marker for row in FORMATS for marker in row.markers})
}


def match(message: Message) -> tuple[Format, re.Match[str]] | None:
    """The first row that matches a message, or None."""
    text = message.text
    # Most lines hold one marker or none: looking for each once is ten times faster than asking every row.
    for index in sorted({index for marker, rows in _BY_MARKER.items() if marker in text for index in rows}):
        row = FORMATS[index]
        if (message.stamped or not row.stamped) and (found := row.pattern.match(text)):
            return row, found
    return None


_ACCESS = re.compile(r"(?P<access>Read|Write) (?:of size \d+|at addr )")


def title(row: Format, matched: re.Match[str], rest: Sequence[Message], guilt: Blame, *, missing: str) -> str:
    """The title of a report. ``missing`` stands for the function of a report that should name one and does not."""
    groups = {name: _group(name, text) for name, text in matched.groupdict(default="").items() if name != "function"}
    function = named(row, matched, guilt, strict=bool(missing))
    given = given_function(matched)
    if not guilt.traced and row.alone and not missing:
        return row.alone.format(**groups)
    if missing and not function and row.unnamed:
        return row.unnamed.format(said=matched[0].removeprefix("[ "), **groups)
    where = f" in {function}" if function else (f" in {missing}" if missing and row.where is not Where.NOWHERE else "")
    access = next((found["access"] for message in rest[:8] if (found := _ACCESS.match(message.text))), "")
    return row.title.format(where=where, access=f" {access}" if access else "", function=given, **groups)


def named(row: Format, matched: re.Match[str], guilt: Blame, *, strict: bool) -> str:
    """The function of a report: from its backtrace, or else from its first line.

    ``strict``: only one that names the report well enough to compare it with others.
    """
    given = given_function(matched)
    if row.where is Where.GIVEN:
        return given
    if guilt.function or row.where is Where.NOWHERE:
        return guilt.function
    if strict:
        return given if _speaks_for_itself(row, given) else ""
    return given or guilt.innermost


def _speaks_for_itself(row: Format, given: str) -> bool:
    """Whether a report's first line names the function as well as its backtrace would: a sanitizer's does."""
    return row.kind in (Kind.KASAN, Kind.KFENCE, Kind.KMSAN) and given != "" and not is_generic(given)


def given_function(matched: re.Match[str]) -> str:
    """The function in the report's first line, or empty."""
    return plain(matched.groupdict().get("function") or "")


def _group(name: str, text: str) -> str:
    if name == "race":
        return titles.race(text)
    return titles.normal(text) if name == "what" else text


def rest_of(messages: Sequence[Message], index: int, row: Format, *, anyone: bool = False) -> list[Message]:
    """The messages behind a report's first that its own task or processor printed, or ``anyone``."""
    first = messages[index]
    rest = messages[index + 1 : index + 1 + LOOK_AHEAD]
    if first.context and not anyone:
        rest = [message for message in rest if message.context in (first.context, "")]
    matched = row.pattern.match(first.text)
    given = given_function(matched) if matched else ""
    ends = next((n for n, item in enumerate(rest) if _END.match(item.text)), len(rest))
    other = next((n for n, item in enumerate(rest[ends:], ends) if match(item)), None)
    if not first.context or _speaks_for_itself(row, given):
        # Two reports at once: the second's backtrace is not this one's. Where printk says who speaks, it may well be.
        within = enumerate(rest[: ends if other is None else other])
        other = next((n for n, item in within if (found := match(item)) and is_strange(row, found[0])), other)
    rest = rest[:other]
    return list(rest)


_END = re.compile(r"-+\[ end trace ")
_ALWAYS = frozenset({Kind.PANIC, Kind.DOUBLE_FAULT, Kind.XEN, Kind.FIRMWARE, Kind.LEAK})
_CONSEQUENCES: Mapping[Kind, frozenset[Kind]] = {
    # BUG() is an invalid opcode on x86, and list debugging and usercopy end in a BUG or a WARNING.
    Kind.BUG: frozenset({Kind.FAULT}),
    Kind.LIST: frozenset({Kind.FAULT, Kind.BUG, Kind.WARNING, Kind.LIST}),
    Kind.MEMORY: frozenset({Kind.FAULT, Kind.BUG, Kind.WARNING, Kind.MEMORY}),
    Kind.FAULT: frozenset({Kind.FAULT}),
    Kind.DOUBLE_FAULT: frozenset({Kind.FAULT}),
    Kind.WARNING: frozenset({Kind.BUG}),
    Kind.FIRMWARE: frozenset({Kind.FAULT, Kind.WARNING}),
    Kind.HANG: frozenset({Kind.HANG}),
    Kind.STUB: frozenset({Kind.STUB}),
    Kind.KEXEC: frozenset({Kind.KEXEC}),
}


def is_strange(row: Format, other: Format) -> bool:
    """Whether a second crash inside a report is no consequence of the first."""
    return other.kind not in _ALWAYS and other.kind not in _CONSEQUENCES.get(row.kind, ())


def blame_for(messages: Sequence[Message], index: int, row: Format) -> Blame:
    """The function that a report blames."""
    guilt = blame(row.where, rest_of(messages, index, row), row.skip)
    if not guilt.function and row.kind is Kind.HANG:
        # A stall is noticed by one processor, and another may print where it is.
        return blame(row.where, rest_of(messages, index, row, anyone=True), row.skip)
    return guilt


def signature(row: Format, name: str, frames: Sequence[str]) -> str:
    """16 hexadecimal digits, the same for the same kind of crash with the same five innermost own frames."""
    words = [row.kind.value, *(frames[:5] or [name])]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
