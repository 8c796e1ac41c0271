"""One walk over messages: which lines say that something broke, and what the lines behind them add."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from harness.evidence.crash import titles
from harness.evidence.crash.formats.damage import MEMORY, OTHERS, PANICS
from harness.evidence.crash.formats.faults import FAULTS, SANITIZERS
from harness.evidence.crash.formats.kexec import KEXEC
from harness.evidence.crash.formats.locks import HANGS, LOCKDEP, WARNINGS
from harness.evidence.crash.formats.platform import PLATFORM
from harness.evidence.crash.formats.table import Format, Reason
from harness.evidence.crash.formats.values import Kind
from harness.evidence.crash.formats.xen import XEN
from harness.evidence.crash.guilty import Blame, Where, blame, syscall_name
from harness.evidence.crash.messages import Message
from harness.evidence.crash.skip import is_generic
from harness.evidence.crash.trace import plain

FORMATS: tuple[Format, ...] = (
    *PLATFORM, *KEXEC, *XEN, *SANITIZERS, *FAULTS, *MEMORY, *LOCKDEP, *HANGS, *WARNINGS, *PANICS, *OTHERS,
)  # fmt: skip
"""All rows; the first that matches a message wins."""

LOOK_AHEAD = 1500
"""Messages of a report in which its function is looked for."""

_BY_MARKER: Mapping[str, tuple[int, ...]] = {
    marker: tuple(index for index, row in enumerate(FORMATS) if marker in row.markers)
    for marker in sorted({marker for row in FORMATS for marker in row.markers})
}


# All patterns in one, without their groups: most lines are none, and that is known after one call.
_ANY = re.compile("|".join("(?:" + re.sub(r"\(\?P<\w+>", "(?:", row.pattern.pattern) + ")" for row in FORMATS))


def may_match(text: str) -> bool:
    """Whether a message's text matches a row, were it stamped."""
    return _ANY.match(text) is not None


def match(message: Message) -> tuple[Format, re.Match[str]] | None:
    """The first row that matches a message, or None."""
    text = message.text
    if not may_match(text):
        return None
    # Most lines hold one marker or none: looking for each once is ten times faster than asking every row.
    for index in sorted({index for marker, rows in _BY_MARKER.items() if marker in text for index in rows}):
        row = FORMATS[index]
        if (message.stamped or not row.stamped) and (found := row.pattern.match(text)):
            return row, found
    return None


_CHECK = re.compile(r"\b__asan_(?:report_)?(?P<access>load|store)")


def _access(rest: Sequence[Message]) -> str:
    """``Read`` or ``Write``, as a sanitizer says it, or else as the check is called that found it."""
    said = next((found["access"] for message in rest[:8] if (found := _ACCESS.match(message.text))), "")
    check = next((found["access"] for message in rest[:40] if not said and (found := _CHECK.search(message.text))), "")
    return said or {"load": "Read", "store": "Write"}.get(check, "")


_ACCESS = re.compile(r"(?P<access>Read|Write) (?:of size \d+|at addr )")


def title(
    row: Format, matched: re.Match[str], rest: Sequence[Message], guilt: Blame, *, missing: str, said: Message | None
) -> str:
    """The title of a report. ``missing`` stands for the function of a report that should name one and does not.

    ``said``: its reason, where that is a message of its own.
    """
    groups = {name: _group(name, text) for name, text in matched.groupdict(default="").items() if name != "function"}
    given = given_function(matched)
    # A report that is cut off has at least a first line.
    function = named(row, matched, guilt, strict=bool(missing)) or first_line_function(matched)
    if row.reason is not Reason.HERE and said is None:
        return row.unnamed
    because = f": {titles.quoted(_reason_in(said))}" if said is not None else ""
    if not guilt.traced and row.alone and not missing:
        return row.alone.format(**groups)
    if missing and not function and row.unnamed and row.reason is Reason.HERE:
        return row.unnamed.format(said=matched[0].removeprefix("[ "), **groups)
    where = f" in {function}" if function else (f" in {missing}" if missing and row.where is not Where.NOWHERE else "")
    access = _access(rest)
    return row.title.format(
        where=where, access=f" {access}" if access else "", function=given, reason=because, **groups
    )


# Lines that give no reason: the frames of Xen's panic, and what the decompressor says while nothing is wrong.
_NO_REASON = re.compile(
    r"\W*$|Reboot in|Decompressing Linux|Uncompressing|Parsing ELF|Performing relocations|Booting the kernel"
    r"|early console|Physical KASLR|KASLR|EFI stub:|input_data|input_len|output|kernel_total_size|needed_size"
    r"|trampoline_32bit"
)
_XEN = re.compile(r"\(XEN\) ?(?:\[[^\]]*\] ?)?")


def reason(row: Format, before: Sequence[Message], behind: Sequence[Message]) -> Message | None:
    """The message in which a report says its reason, beside its first line."""
    if row.reason is Reason.HERE:
        return None
    near = behind[:4] if row.reason is Reason.BEHIND else before[:-5:-1]
    said = next((message for message in near if _reason_in(message)), None)
    return None if said is None or _NO_REASON.match(_reason_in(said)) else said


def _reason_in(message: Message) -> str:
    return _XEN.sub("", message.text).strip()


def named(row: Format, matched: re.Match[str], guilt: Blame, *, strict: bool) -> str:
    """The function of a report: from its backtrace, or else from its first line.

    ``strict``: only one that names the report well enough to compare it with others.
    """
    given = given_function(matched)
    if row.where is Where.GIVEN:
        return given
    if _foreign(row, given, guilt):
        return given
    if guilt.function or row.where is Where.NOWHERE:
        return guilt.function
    if strict:
        return given if _speaks_for_itself(row, given) else ""
    return given or guilt.innermost


def _foreign(row: Format, given: str, guilt: Blame) -> bool:
    """Whether the backtrace is another report's: the function that the first line names is not in it."""
    return _speaks_for_itself(row, given) and guilt.function != "" and syscall_name(given) not in guilt.frames


def _speaks_for_itself(row: Format, given: str) -> bool:
    """Whether a report's first line names the function as well as its backtrace would: a sanitizer's does."""
    return row.kind in (Kind.KASAN, Kind.KFENCE, Kind.KMSAN) and given != "" and not is_generic(given)


def given_function(matched: re.Match[str]) -> str:
    """The function in the report's first line, or empty."""
    return plain(matched.groupdict().get("function") or "")


def first_line_function(matched: re.Match[str]) -> str:
    """The function in the report's first line, unless many reports begin in it."""
    given = given_function(matched)
    return "" if is_generic(given) else given


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
        other = next((n for n, item in within if (found := match(item)) and _cuts(row, first, found[0], item)), other)
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


_ONCE = frozenset({Kind.STUB, Kind.KEXEC, Kind.XEN, Kind.TOOL, Kind.PANIC})
"""Kinds whose lines come in crowds, for one cause."""


def begins_again(row: Format, first: Message, other: Format, message: Message) -> bool:
    """Whether a second line of a report's own row begins a report of its own: of another task, or at another time.

    Two consoles on one line, or an early and a late one, print everything twice.
    """
    if other is not row or row.kind in _ONCE:
        return False
    return (first.text, first.time_s) != (message.text, message.time_s)


def is_strange(row: Format, other: Format) -> bool:
    """Whether a second crash inside a report is no consequence of the first."""
    return other.kind not in _ALWAYS and other.kind not in _CONSEQUENCES.get(row.kind, ())


def _cuts(row: Format, first: Message, other: Format, message: Message) -> bool:
    return is_strange(row, other) or begins_again(row, first, other, message)


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
