"""The guest's ``processors`` fact: which CPUs are online, and what the first one can do."""

from __future__ import annotations

import re

from harness.evidence.defect import Defect

_LIST = re.compile(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*")


def online(text: str) -> tuple[int, ...] | Defect:
    """The numbers in the line ``online=0-1,3`` (/sys/devices/system/cpu/online)."""
    found = _value(text, "online=")
    if _LIST.fullmatch(found) is None:
        return Defect(f"the processors fact has no list of CPUs that are online: {found!r}")
    cpus: set[int] = set()
    for part in found.split(","):
        first, _, last = part.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(cpus))


def flags(text: str) -> frozenset[str] | Defect:
    """The words of the line ``flags : ...`` of /proc/cpuinfo."""
    words = _value(text, "flags").replace(":", " ").split()
    return frozenset(words) if words else Defect("the processors fact has no flags of /proc/cpuinfo")


def _value(text: str, start: str) -> str:
    return next((line.removeprefix(start).strip() for line in text.splitlines() if line.startswith(start)), "")
