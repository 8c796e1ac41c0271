"""What a log's lines have in common: a decoration that no grammar knows, records, lines that a mailer has cut."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.evidence.logform.grammar import NONE, Prefix, prefix_of
from harness.evidence.logform.records import record_of

_MOST = 0.7
"""The share of the lines that must begin alike."""
_FEWEST = 4
_LONGEST_LEAD = 6
"""Words of a decoration; more would be the message."""
_WIDTHS = range(45, 101)
"""Columns at which mailers and people wrap: 72 to 80 as a rule, fewer behind quotation marks."""


@dataclass(frozen=True)
class Wrap:
    """How a mailer has cut lines."""

    width: int
    """No line is longer, but for words that are."""
    words: bool = True
    """Between words: the blank there is lost. Else anywhere, as a terminal of so many columns does."""


@dataclass(frozen=True)
class Form:
    """The form of a log, as its lines show it."""

    lead: re.Pattern[str] | None = None
    """What most lines begin with, besides what the grammar knows."""
    wrap: Wrap | None = None
    records: bool = False
    """Each line is a record, or a field of one."""

    def prefix(self, text: str) -> Prefix:
        """What ``text``, a line without escapes and line end, begins with."""
        lead = self.lead.match(text) if self.lead is not None else None
        if lead is None:
            return prefix_of(text)
        found = prefix_of(text[lead.end() :])
        return replace(found, end=lead.end() + found.end, begins=True)

    def message(self, text: str) -> tuple[Prefix, str]:
        """The prefix of ``text``, and the message behind it. A field of a record that is no message is empty."""
        if self.records and (record := record_of(text)) is not None:
            inner = prefix_of(record.text) if record.text else NONE
            kernel = replace(inner, kernel=inner.kernel or record.kernel, begins=True)
            return kernel, (record.text or "")[inner.end :]
        found = self.prefix(text)
        return found, text[found.end :]


PLAIN = Form()
"""Nothing but what the grammar knows."""


def learn(sample: Sequence[str]) -> Form:
    """The form of some hundred consecutive lines, without escapes and line ends."""
    lines = [text for text in sample if text.strip()]
    if not lines:
        return PLAIN
    if sum(record_of(text) is not None for text in lines) >= _MOST * len(lines):
        return Form(records=True)
    form = Form(_lead(lines))
    return replace(form, wrap=_wrap(sample, form))


_TOKEN = re.compile(r"[ \t\xa0]*[^\s|>]*(?:[|>]+[ \t\xa0]?|[ \t\xa0]+|$)")
_OURS = re.compile(r"\s*(?:\(XEN\)|\[<|\?|</?[A-Z#]|[a-z_]\w*\+0x|!!!!|#)")
"""The beginnings of messages, not of what stands before them."""
_ENDS = re.compile(r"[|>\])}~$-]\s*$")
"""How a decoration ends; ``word:`` is a program's or a driver's name, whose words are not the kernel's."""


def _lead(lines: Sequence[str]) -> re.Pattern[str] | None:
    """What most lines begin with, digits aside; None where the grammar knows it, or where it may be the message."""
    rest = list(lines)
    shapes: list[str] = []
    known = False
    for _ in range(_LONGEST_LEAD):
        known = sum(prefix_of(text).end > 0 for text in rest) >= _MOST * len(rest)
        if known:
            break
        words = [(match[0] if (match := _TOKEN.match(text)) else "") for text in rest]
        shape, count = Counter(map(_shape, words)).most_common(1)[0]
        if count < max(_FEWEST, _MOST * len(lines)) or not shape.strip() or _OURS.match(shape):
            break
        shapes.append(shape)
        rest = [text[len(word) :] for text, word in zip(rest, words, strict=True) if _shape(word) == shape]
    while shapes and not known and not _ENDS.search(shapes[-1]):
        shapes.pop()
    if not shapes:
        return None
    parts = re.split("([0 ])", "".join(shapes))
    pattern = "".join({"0": r"\d+", " ": r"\s+"}.get(part, re.escape(part)) for part in parts)
    # One blank ends the decoration; the message behind may be indented.
    return re.compile(pattern.removesuffix("+") if pattern.endswith(r"\s+") else pattern)


def _shape(word: str) -> str:
    """A word with each number as a 0, and its blanks as one."""
    return re.sub(r"\s+", " ", re.sub(r"\d+", "0", word))


def _breakable(text: str, form: Form) -> int:
    """The width of a line that could be cut; 0 for one whose message is one long word."""
    text = text.rstrip()
    return len(text) if " " in text[form.prefix(text).end :].strip() else 0


def _wrap(sample: Sequence[str], form: Form) -> Wrap | None:
    """Whether lines without a stamp continue the ones before them, since those had no room for one word more."""
    begins = [form.prefix(text).begins for text in sample]
    if not any(begins) or sum(begins) * 3 < len([text for text in sample if text.strip()]):
        return None
    runs: list[tuple[str, str]] = []
    widest, inside = 0, False
    for (before, one), (after, other) in itertools.pairwise(zip(begins, sample, strict=True)):
        inside = before or (inside and bool(one.strip()))
        if inside:
            widest = max(widest, _breakable(one, form))
        if inside and not after and other[form.prefix(other).end :].strip():
            runs.append((one.rstrip(), other[form.prefix(other).end :]))
    if sample and begins[-1]:
        widest = max(widest, _breakable(sample[-1], form))
    if not runs or widest not in _WIDTHS:
        return None
    if len(runs) > 1 and all(len(one) == widest for one, _ in runs):
        return Wrap(widest, words=False)
    # The last line of a paragraph, and what comes behind the log, do not fit the rule.
    full = [pair for pair in runs if len(pair[0]) + 1 + len(pair[1].split(maxsplit=1)[0]) > widest]
    return Wrap(widest) if len(full) >= max(1, 0.9 * len(runs)) else None
