"""Titles: what stays the same from run to run."""

from __future__ import annotations

import re

_NUMBERS = (
    (re.compile(r"\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?"), ""),
    (re.compile(r"\b0x[0-9a-f]+\b|\b[0-9a-f]{16}\b|\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b", re.I), "ADDR"),
    (re.compile(r"(?<![\w.-])-?\d+(?![\w-]|\.\d)|\d{5,}"), "NUM"),
)
_LONGEST = 120
_SMALL = 4
"""Digits of a number that a reason may need: a domain, a processor, an error."""


def normal(text: str) -> str:
    """Running text without addresses, offsets and numbers, in one line that a person can read."""
    for pattern, replacement in _NUMBERS:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())[:_LONGEST].strip()


def quoted(text: str) -> str:
    """A reason in one line, without addresses, offsets and large numbers."""
    for pattern, replacement in _NUMBERS[:2]:
        text = pattern.sub(replacement, text)
    text = re.sub(rf"\d{{{_SMALL + 1},}}", "NUM", text)
    return " ".join(text.split())[:_LONGEST].strip()


_RACE = re.compile(r"(?P<what>.*) in (?P<one>[\w.]+)\S*(?: / (?P<other>[\w.]+)\S*)?")


def race(text: str) -> str:
    """KCSAN's two functions in the order of the alphabet, for the race is the same whichever came first."""
    match = _RACE.match(text)
    if match is None:
        return normal(text)
    functions = sorted({match["one"].split(".")[0], (match["other"] or match["one"]).split(".")[0]})
    if match["other"] and len(functions) == 1:
        functions *= 2
    return f"{match['what']} in {' / '.join(functions)}"
