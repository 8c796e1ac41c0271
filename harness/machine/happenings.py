"""What a machine can be seen to do: the values in the feed. Nothing here waits, or knows the clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from harness.machine.frame import Frame


class Source(StrEnum):
    LINK = "link"
    QMP = "qmp"
    CONSOLE = "console"
    PROCESS = "process"


@dataclass(frozen=True)
class Event:
    """A QMP event. ``asked`` marks the STOP and RESUME that the harness itself causes to read memory."""

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)
    asked: bool = False


@dataclass(frozen=True)
class Line:
    """A line of the console that is not empty, without escape sequences and line end."""

    text: str
    offset: int
    """Where its first byte is in console.log."""


@dataclass(frozen=True)
class Match:
    """A decisive pattern was seen on the console."""

    name: str
    text: str
    """What the pattern matched."""
    before: str
    """The rest of the line in front of it."""
    console_offset: int
    """Bytes of console.log when the match was made: the text lies before it."""


@dataclass(frozen=True)
class Closed:
    """A source has ended: its last byte came in before this."""


@dataclass(frozen=True)
class Exited:
    """QEMU has ended and is reaped. Negative: the number of the signal that ended it."""

    status: int


@dataclass(frozen=True)
class HelperExited:
    """A program that QEMU's machine needs has ended and is reaped. ``status`` as that of Exited."""

    program: str
    status: int


Data = Frame | Event | Line | Match | Closed | Exited | HelperExited


@dataclass(frozen=True)
class Happening:
    """Something the machine did. ``t_s`` counts from the start of the run (``Feed.started_s``)."""

    t_s: float
    source: Source
    kind: str
    """The type of ``data`` in words: ``frame``, ``event``, ``line``, ``match``, ``closed``, ``qemu-exited`` or
    ``helper-exited``."""
    data: Data


KINDS: Mapping[type, str] = {
    Frame: "frame",
    Event: "event",
    Line: "line",
    Match: "match",
    Closed: "closed",
    Exited: "qemu-exited",
    HelperExited: "helper-exited",
}


def ended_how(status: int) -> str:
    """``by signal 9`` or ``with status 1``."""
    return f"by signal {-status}" if status < 0 else f"with status {status}"
