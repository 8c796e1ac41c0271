"""Who wrote to a watched range: ``culprit.json`` in the directory of the run that watched it."""

from __future__ import annotations

from harness.model.autopsy import Place
from harness.model.base import Value
from harness.model.record import Phase
from harness.model.words.tables import TableName

FORMAT = 1


class Target(Value):
    """The bytes ``start <= address < end``, guest-physical, that were watched."""

    name: TableName
    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.name} at {self.start:#x}-{self.end - 1:#x}"


class Write(Value):
    """What one instruction wrote, in one go: a loop counts as one."""

    t_s: float
    """Of the first."""
    epoch: int
    phase: Phase
    cpu: int
    place: Place
    """Of the instruction, or the one behind it."""
    through: int
    """The virtual address that was watched."""
    target: Target
    count: int
    """How many times the watchpoint was hit."""
    start: int
    """Of what was changed, guest-physical; ``start == end`` when the bytes written were those that were there."""
    end: int
    before_hex: str
    after_hex: str
    registers: dict[str, int]
    """At the first hit, with ``rip``, ``cr3`` and ``rflags``."""
    code_hex: str
    """The code from 16 bytes before the instruction pointer on."""
    segment: str = ""
    """The piece of the next kernel that belongs at this address."""
    origin: str = ""
    """Where the bytes come from, when that can be proved."""


class Culprit(Value):
    """What a watched run came to."""

    format: int = FORMAT
    variant: str
    targets: tuple[Target, ...]
    damaged: tuple[Target, ...]
    """Those that were not what firmware handed over when they were sampled last."""
    writes: tuple[Write, ...]
    """In order of time."""
    notes: tuple[str, ...] = ()
    ended: str = ""
    """How the run ended."""
    run_dir: str = ""
