"""What ``hstress`` in the guest says of its calls and of its pages (harness/guest/files/hstress.c)."""

from __future__ import annotations

from dataclasses import dataclass

from harness.evidence.defect import Defect

NOT_THE_SAME = 1000
"""Where an errno would be: the variable was read back, but with other bytes."""
_CALLS = ("calls", "failed", "first", "cpus")
_LOADER = ("loader", "rounds", "bad", "address", "expected", "found", "error", "end")


@dataclass(frozen=True)
class Loader:
    """One process that maps, fills, checks and unmaps the addresses of firmware's 1:1 mappings."""

    number: int
    rounds: int
    """How often it has done so."""
    bad: int
    """Words that were not what it had written, or not zero in a fresh page."""
    address: int
    """Of the first bad word, virtual."""
    expected: int
    found: int
    error: int
    """errno of an mmap that failed, 0 for none."""
    end: int
    """As wait4(2) gives it: 0 when it ended by itself; 255 when it could not be started."""


@dataclass(frozen=True)
class Stress:
    calls: int
    """Pairs of SetVariable and GetVariable."""
    failed: int
    first: int
    """errno of the first pair that failed, or NOT_THE_SAME; 0 for none."""
    cpus: int
    """Virtual CPUs, each of which made every so many calls."""
    loaders: tuple[Loader, ...]


def parse(text: str) -> Stress | Defect:
    """The ``KEY=NUMBER`` lines, which come in one order only."""
    lines = text.split()
    count, left_over = divmod(len(lines) - len(_CALLS), len(_LOADER))
    if count < 1 or left_over:
        return Defect(f"the stress report has {len(lines)} lines: {text.strip()[:80]!r}")
    head = _values(lines[: len(_CALLS)], _CALLS)
    if isinstance(head, Defect):
        return head
    loaders: list[Loader] = []
    for at in range(len(_CALLS), len(lines), len(_LOADER)):
        values = _values(lines[at : at + len(_LOADER)], _LOADER)
        if isinstance(values, Defect):
            return values
        number, *rest = values.values()
        if number != len(loaders):
            return Defect("the stress report does not number its loaders from 0")
        loaders.append(Loader(number, *rest))
    calls, failed, first, cpus = head.values()
    return Stress(calls, failed, first, cpus, tuple(loaders))


def _values(lines: list[str], names: tuple[str, ...]) -> dict[str, int] | Defect:
    """In the order of the names."""
    values: dict[str, int] = {}
    for line, name in zip(lines, names, strict=True):
        key, _, value = line.partition("=")
        if key != name or not (value.isascii() and value.isdigit() and len(value) <= 20):
            return Defect(f"the stress report has {line!r} where {name} should be")
        values[name] = int(value)
    return values
