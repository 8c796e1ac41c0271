"""The forms in which people have logs: the one place that takes off what stands before a message.

``prefix_of`` knows what one line says by itself (grammar.py). ``learn`` looks at some hundred lines for what most of
them begin with, and for lines that a mailer has cut (learn.py); its Form takes both off. ``strip`` does all of it to a
whole log that fits into memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.evidence.logform.grammar import NONE, Prefix, prefix_of
from harness.evidence.logform.learn import PLAIN, Form, Wrap, learn

__all__ = ["NONE", "PLAIN", "Form", "Prefix", "Stripped", "Wrap", "continues", "join", "learn", "prefix_of", "strip"]

_SAMPLE_LINES = 400
_MOST_JOINED = 4


@dataclass(frozen=True)
class Stripped:
    """A message, and what its line began with."""

    number: int
    """Of the (first) line, from 1."""
    prefix: Prefix
    text: str
    """Without the prefix; wrapped lines are joined again."""


def strip(lines: Sequence[str], form: Form | None = None) -> tuple[Stripped, ...]:
    """The messages of a log's lines, which are without escapes and line ends.

    The form is learned from every few hundred lines anew, unless one is given: a log may begin as a mail.
    """
    return tuple(_strip(lines, form))


def _strip(lines: Sequence[str], given: Form | None) -> Iterator[Stripped]:
    form = given or PLAIN
    held: Stripped | None = None
    last, joined = "", 0
    for index, text in enumerate(lines):
        if given is None and index % _SAMPLE_LINES == 0:
            form = learn(lines[index : index + _SAMPLE_LINES])
        prefix, message = form.message(text)
        if held is not None and joined < _MOST_JOINED and continues(form, last, prefix, message):
            held = Stripped(held.number, held.prefix, join(form, held.text, message))
            joined += 1
        else:
            if held is not None:
                yield held
            held, joined = Stripped(index + 1, prefix, message), 0
        last = text
    if held is not None:
        yield held


def continues(form: Form, last: str, prefix: Prefix, message: str) -> bool:
    """Whether a line goes on with the one before it, ``last`` as it stands in the log: a mailer cut it there."""
    if form.wrap is None or prefix.begins or not message.strip():
        return False
    if not form.wrap.words:
        return len(last.rstrip()) == form.wrap.width
    return len(last.rstrip()) + 1 + len(message.split(maxsplit=1)[0]) > form.wrap.width


def join(form: Form, text: str, more: str) -> str:
    """A wrapped line and what follows it, as they were."""
    if form.wrap is not None and not form.wrap.words:
        return text + more
    return f"{text.rstrip()} {more.lstrip()}"
