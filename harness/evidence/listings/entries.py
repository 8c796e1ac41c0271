"""What a log tells of memory: the values that every reader of a listing makes, whoever printed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.ranges import Range

WORD = 1 << 64
"""What does not end below this is no memory of any machine."""


class MapKind(StrEnum):
    """Whose map it is; in the order in which one is to be preferred."""

    EFI = "efi"
    E820 = "e820"
    IOMEM = "iomem"


@dataclass(frozen=True)
class LogEntry:
    """One entry as printed."""

    number: int
    """As printed, or counted from 0 where entries have no numbers."""
    region: EfiRegion
    """Of an e820 or iomem entry the type that firmware must have given it, as far as Linux' words tell."""
    line: int
    """Where it begins in the log, from 1."""
    words: str = ""
    """What Linux calls it, such as ``System RAM``; empty for an EFI descriptor."""
    depth: int = 0
    """Of an iomem row; 0 at the top level."""
    attributes_known: bool = True
    """False where the listing has none; ``region.attributes`` is a guess then."""


@dataclass(frozen=True)
class OddEntry:
    """An entry that describes no memory, which real firmware has: it counts, but there is nothing to be had of it."""

    number: int
    line: int
    type: int
    start: int
    why: str
    """Such as ``it is empty``."""


@dataclass(frozen=True)
class Remark:
    """What a reader should know about a line. ``str()`` is one line of text."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"


@dataclass(frozen=True)
class LogMap:
    """One whole map."""

    kind: MapKind
    title: str
    line: int
    """Where it begins in the log, from 1."""
    entries: tuple[LogEntry, ...]
    odd: tuple[OddEntry, ...] = ()
    remarks: tuple[Remark, ...] = ()

    @property
    def size(self) -> int:
        """How many entries were printed, odd ones too."""
        return len(self.entries) + len(self.odd)

    @property
    def top(self) -> tuple[LogEntry, ...]:
        """The entries that lie in no other one."""
        return tuple(entry for entry in self.entries if entry.depth == 0)


@dataclass(frozen=True)
class MapLog:
    """All maps of a log: in the order of MapKind, and of the log."""

    maps: tuple[LogMap, ...]
    damaged: tuple[tuple[MapKind, Remark], ...] = ()
    """Maps of which a part is missing or illegible: half a map would be another machine's."""

    def of_kind(self, kind: MapKind) -> tuple[LogMap, ...]:
        """The maps of one kind."""
        return tuple(item for item in self.maps if item.kind is kind)

    def damage(self, kind: MapKind) -> tuple[Remark, ...]:
        """What is wrong with the maps of one kind that are not whole."""
        return tuple(remark for of, remark in self.damaged if of is kind)


def contradictions(entries: Sequence[LogEntry]) -> tuple[tuple[LogEntry, LogEntry, Range], ...]:
    """Neighbours of which both claim the same bytes; of many entries in one place, the first two each."""
    ordered = sorted((item for item in entries if item.depth == 0), key=lambda item: item.region.range)
    both = (
        (first, second, first.region.range.intersection(second.region.range)) for first, second in pairwise(ordered)
    )
    return tuple((first, second, where) for first, second, where in both if where is not None)
