"""Entries of a listing in the lines of a log, put together again where a mailer or a terminal has cut them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.evidence.klog import Line

MAX_LINES = 5
"""An entry of some 130 characters, cut at 40 and quoted: no more."""
_QUOTE = re.compile(r"[\s>]*")
_MARKS = re.compile(r"(?:[ \t]*>)+ ?|")
_SHOWN = 120


@dataclass(frozen=True)
class Opening:
    """How something begins that is looked for in a line."""

    name: str
    hint: str
    """In lower case: the pattern is tried on lines that have it. Searching each line for each is too slow."""
    pattern: re.Pattern[str]


def opening(name: str, hint: str, pattern: str) -> Opening:
    """Upper and lower case are one."""
    return Opening(name, hint, re.compile(pattern, re.IGNORECASE))


@dataclass(frozen=True)
class Place:
    """Where an entry begins."""

    text: Sequence[str]
    index: int
    start: int
    stop: int | None
    """Where the next one on the same line begins; None for the last."""
    line: int
    """For people, from 1."""

    @property
    def shown(self) -> str:
        """What stands there, to be cited."""
        return self.text[self.index][self.start : self.stop].strip()[:_SHOWN]

    @property
    def in_front(self) -> str:
        """What stands on the line in front of it."""
        return self.text[self.index][: self.start]


def begins(openings: Sequence[Opening], lines: Sequence[Line]) -> Iterator[tuple[str, re.Match[str], Place]]:
    """Where something begins, and the opening's name; several on a line, since line ends get lost.

    A Place begins where the match ends. Of two openings at one place the first counts.
    """
    text = [line.text for line in lines]
    for index, line in enumerate(text):
        found = _found(openings, line)
        for number, (name, match) in enumerate(found, 1):
            stop = found[number][1].start() if number < len(found) else None
            yield name, match, Place(text, index, match.end(), stop, lines[index].number)


def _found(openings: Sequence[Opening], line: str) -> list[tuple[str, re.Match[str]]]:
    low = line.lower()
    possible = [item for item in openings if item.hint in low]
    if not possible:
        return []
    found = [(item.name, match) for item in possible for match in item.pattern.finditer(line)]
    kept: list[tuple[str, re.Match[str]]] = []
    for name, match in sorted(found, key=lambda one: one[1].start()):
        # What is only looked ahead to, right behind another opening, is what that one opens.
        if not kept or match.start() > kept[-1][1].end() or (match[0] and match.start() == kept[-1][1].end()):
            kept.append((name, match))
    return kept


def candidates(place: Place, openings: Sequence[Opening]) -> Iterator[tuple[str, int]]:
    """What may be the whole entry, from the likeliest on, each with the index of the line behind it.

    Mailers cut at white space, terminals anywhere. A line in which something else begins goes on with nothing.
    """
    first = place.text[place.index][place.start : place.stop]
    yield first, place.index + 1
    if place.stop is not None:
        return
    soft, hard = [first], [first]
    for behind, line in enumerate(place.text[place.index + 1 : place.index + MAX_LINES], place.index + 2):
        if _found(openings, line):
            return
        soft.append(_QUOTE.sub("", line, count=1))
        hard.append(_MARKS.sub("", line, count=1))
        yield "\n".join(soft), behind
        yield "".join(hard), behind
