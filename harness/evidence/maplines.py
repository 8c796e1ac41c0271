"""Entries of a listing in the lines of a log, put together again where a mailer or a terminal has cut them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.evidence.klog import Line

MAX_LINES = 5
"""An entry of some 130 characters, cut at 40 and quoted: no more."""
_QUOTE = re.compile(r"[\s>]*")
_SHOWN = 120


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


def texts(lines: Sequence[Line]) -> list[str]:
    """The lines' text as entries are looked for in it; ``=3D`` is how a raw mail writes ``=`` (RFC 2045)."""
    return [line.text.replace("=3D", "=") if "=3D" in line.text else line.text for line in lines]


def begins(pattern: re.Pattern[str], lines: Sequence[Line]) -> Iterator[tuple[re.Match[str], Place]]:
    """Where entries begin; several on a line, since line ends get lost. A Place begins where the match ends."""
    text = texts(lines)
    for index, line in enumerate(text):
        found = list(pattern.finditer(line))
        for number, match in enumerate(found, 1):
            stop = found[number].start() if number < len(found) else None
            yield match, Place(text, index, match.end(), stop, lines[index].number)


def candidates(place: Place, another: Callable[[str], object]) -> Iterator[tuple[str, int]]:
    """What may be the whole entry, from the likeliest on, each with the index of the line behind it.

    Mailers cut at white space; terminals and raw mails (with ``=``) anywhere. A line in which another entry begins
    goes on with nothing.
    """
    first = place.text[place.index][place.start : place.stop]
    yield first, place.index + 1
    if place.stop is not None:
        return
    soft, hard = [first], [first.removesuffix("=")]
    for behind, line in enumerate(place.text[place.index + 1 : place.index + MAX_LINES], place.index + 2):
        if another(line):
            return
        plain = _QUOTE.sub("", line, count=1)
        soft.append(plain)
        hard.append(plain.removesuffix("="))
        yield "\n".join(soft), behind
        yield "".join(hard), behind
