"""Where in a log a crash could be: a search for literals over the bytes, before any line is looked at.

Measured with CPython 3.11 on console text: ``bytes.find`` costs 0.35 ms a megabyte and literal, too much for fifty.
``re`` looks for a pattern that begins with one single byte by memchr(3), 0.3 ms for all literals that have it, and
0.1 microseconds more each time it stands there. So literals share passes by a rare byte inside of them, the pivot:
``F(?=ailed to alloc)|F(?<=SYZF)(?=A)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.evidence.crash.formats.table import Format
from harness.evidence.crash.log import Log

PIECE_BYTES = 1 << 18
"""A piece stays in the processor's cache while it is searched."""
_PIVOTS = b"!#jFUNEkwhyK"
"""Bytes that are rare in the consoles of tests/testdata (up to one in two hundred), the most useful first."""


@dataclass(frozen=True)
class Needles:
    """What to look for."""

    literals: tuple[bytes, ...]
    """One of them stands in each line that a row matches."""
    together: tuple[re.Pattern[bytes], ...]
    """Those with a pivot; a match is the pivot alone."""
    alone: tuple[bytes, ...]
    """The others."""

    @classmethod
    def of(cls, formats: Sequence[Format]) -> Needles:
        """The markers of all rows without those that hold another: one is in every line that a row matches."""
        markers = {marker.encode() for row in formats for marker in row.markers}
        least = sorted(one for one in markers if not any(other != one and other in one for other in markers))
        groups: dict[int, list[bytes]] = {}
        for one in least:
            groups.setdefault(next((byte for byte in _PIVOTS if byte in one), 0), []).append(one)
        alone = tuple(groups.pop(0, ()))
        return cls(tuple(least), tuple(_around(pivot, group) for pivot, group in groups.items()), alone)

    @property
    def longest(self) -> int:
        return max(map(len, self.literals), default=1)

    def places(self, data: bytes) -> set[int]:
        """Where they are, at any of their bytes."""
        found = {match.start() for pattern in self.together for match in pattern.finditer(data)}
        for needle in self.alone:
            at = data.find(needle)
            while at >= 0:
                found.add(at)
                at = data.find(needle, at + len(needle))
        return found


def _around(pivot: int, literals: Sequence[bytes]) -> re.Pattern[bytes]:
    """The pivot where it stands in one of the literals. Assertions alone, so that the pattern begins with one byte."""
    sides = [(one[: one.index(pivot) + 1], one[one.index(pivot) + 1 :]) for one in literals]
    asserted = (rb"(?<=%b)(?=%b)" % (re.escape(before), re.escape(behind)) for before, behind in sides)
    return re.compile(re.escape(bytes([pivot])) + b"(?:" + b"|".join(asserted) + b")")


def candidates(log: Log, needles: Needles, start: int = 0) -> Iterator[int]:
    """Offsets inside the lines from ``start`` on that hold a needle, ascending."""
    done = start
    for begin in range(start, log.size, PIECE_BYTES):
        # A needle across the border is found in the piece where it ends: the two overlap.
        first = max(start, begin - needles.longest + 1)
        for place in sorted(needles.places(log.read(first, begin + PIECE_BYTES))):
            if first + place >= done:
                yield first + place
                done = first + place + 1
