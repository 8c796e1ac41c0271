"""/proc/iomem: the resource tree. kexec_file_load takes its memory from the top-level ``System RAM`` rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence.defect import Defect
from harness.evidence.ranges import Range

SYSTEM_RAM = "System RAM"
CRASH_KERNEL = "Crash kernel"
"""What crashkernel= reserves (kernel/crash_core.c, crashk_res)."""
_ROW = re.compile(r"(?P<indent> *)(?P<start>[0-9a-f]+)-(?P<last>[0-9a-f]+) : (?P<name>.*)")
_INDENT = 2


@dataclass(frozen=True)
class Resource:
    """One row. ``depth`` is 0 at the top level."""

    range: Range
    name: str
    depth: int


def parse_iomem(text: str) -> tuple[Resource, ...] | Defect:
    """The rows in the order of the file.

    A file whose addresses are all zero is a Defect: that is how the kernel hides them from a reader without
    CAP_SYS_ADMIN.
    """
    rows: list[Resource] = []
    for line in text.splitlines():
        if not line.strip():
            continue
        match = _ROW.fullmatch(line.rstrip())
        if match is None or int(match["last"], 16) < int(match["start"], 16):
            return Defect(f"the iomem fact has a line of another form: {line!r}")
        where = Range.inclusive(int(match["start"], 16), int(match["last"], 16))
        rows.append(Resource(where, match["name"], len(match["indent"]) // _INDENT))
    if not rows:
        return Defect("the iomem fact is empty")
    if all(row.range == Range(0, 1) for row in rows):
        return Defect("all addresses in the iomem fact are zero: it was read without CAP_SYS_ADMIN")
    return tuple(rows)


def system_ram(resources: Sequence[Resource]) -> tuple[Range, ...]:
    """The top-level ``System RAM`` rows, in order, not merged: a split by setup_data matters to the placement."""
    return tuple(item.range for item in resources if item.depth == 0 and item.name == SYSTEM_RAM)


def at(resources: Sequence[Resource], where: Range) -> tuple[Resource, ...]:
    """The rows of all depths that share a byte with ``where``."""
    return tuple(item for item in resources if item.range.overlaps(where))
