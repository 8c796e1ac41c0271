"""Did the dump's filter leave out what its level says, and nothing else?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.evidence.groundtruth import Digests
from harness.evidence.ranges import PAGE_BYTES
from harness.evidence.vmcore import Dump
from harness.model.causes import Cause
from harness.model.record import Point
from harness.model.verdict import Check
from harness.subjects.common import passed
from harness.subjects.kdump.memory import whole
from harness.subjects.kdump.said import failed, missing
from harness.subjects.kdump.view import KdumpView

_FILTER = "kdump: filter"
_ZERO, _FREE = 1, 16
_COUNT = re.compile(r"^\s*(?P<name>[A-Z][A-Za-z -]*?)\s*: 0x(?P<count>[0-9a-f]{1,16})\s*$", re.MULTILINE)
_KINDS = {
    "Pages filled with zero": 1,
    "Non-private cache pages": 2,
    "Private cache pages": 4,
    "User process data pages": 8,
    "Free pages": 16,
}
"""What makedumpfile 1.7 reports as left out (print_report()), and the bit of its -d that it belongs to."""


_MISCOUNT = 2
"""Pages that makedumpfile leaves out and does not count: once one in 57029 (1.7.2, Debian 6.12, after two kexecs)."""


def check_filter(view: KdumpView) -> Check | None:
    """The dump has the pages that its filter should leave, and no others.

    By its level, by makedumpfile's own counts, and by what memory held.
    """
    level, dump = view.options.filter, view.dump
    if level is None or not isinstance(dump, Dump) or not whole(view):
        return None
    entry = view.memory(Point.CAPTURE)
    if entry is None:
        return missing(_FILTER, "memory was not sampled when the capture kernel came up")
    counts = _reported(view)
    held = sum(run.end - run.start for run in dump.held())
    wrong = next(_filter_wrong(dump, level, counts, held, view.digests(entry)), None)
    if wrong is not None:
        return failed(_FILTER, Cause.VMCORE_FILTER, wrong, epoch=view.capture.number)
    pages = _memory_pages(dump)
    told = ", ".join(f"{counts[name]} {name[0].lower()}{name[1:]}" for name in _KINDS if name in counts)
    return passed(_FILTER, f"level {level} left {held} of {pages} pages in the dump; left out are {told}")


def _reported(view: KdumpView) -> dict[str, int]:
    """makedumpfile's report, by its own names."""
    record = view.observations.record
    text = record.body(record.frame("captured", view.capture.number)).decode("utf-8", "replace")
    return {match["name"]: int(match["count"], 16) for match in _COUNT.finditer(text)}


def _filter_wrong(dump: Dump, level: int, counts: dict[str, int], held: int, truth: Digests) -> Iterator[str]:
    if dump.dump_level != level:
        yield f"the dump says that its level is {dump.dump_level}, asked for was {level}"
    # Not "Remaining pages": it counts the kernel's image twice, which has a program header of its own. Pages of zeros
    # are "excluded" by sharing one page's data: their descriptors stay.
    zeros = counts.get("Pages filled with zero", 0)
    told, absent = counts.get("Excluded pages"), _memory_pages(dump) - held
    if told is None or abs(told - zeros - absent) > _MISCOUNT:
        yield (
            f"makedumpfile says that it left out {'nothing' if told is None else told - zeros} pages besides zeros, "
            f"{absent} pages are missing"
        )
    yield from _counts_wrong(level, counts)
    # Page kinds other than zero are known to the kernel's own page structures only.
    if level & _ZERO:
        seen = sum(truth.is_zero(pfn) for run in dump.held() for pfn in range(run.start, run.end))
        if seen != zeros:
            yield f"makedumpfile found {zeros} pages of zeros among those it kept, memory had {seen}"
    if level in (0, _ZERO):
        lost = sum(not dump.has(pfn) for pfn in _sampled(dump, truth))
        if lost:
            yield f"{lost} pages are missing, and level {level} keeps them"


def _counts_wrong(level: int, counts: dict[str, int]) -> Iterator[str]:
    for name, bit in _KINDS.items():
        count = counts.get(name)
        if count is None:
            yield f"makedumpfile does not say how many {name.lower()} it left out"
        elif count and not level & bit:
            yield f"{count} {name.lower()} were left out, and level {level} keeps them"
    if level & _FREE and not counts.get("Free pages"):
        yield "no free pages were left out, and every kernel has some"


def _sampled(dump: Dump, truth: Digests) -> Iterator[int]:
    """The pages of the dump's memory that were sampled, whether the dump has them or not."""
    for item in dump.ranges:
        for pfn in range(item.start // PAGE_BYTES, item.end // PAGE_BYTES):
            if truth.at(pfn) is not None:
                yield pfn


def _memory_pages(dump: Dump) -> int:
    """As makedumpfile counts: whole pages, and of a page in which a range begins only one whose first byte is in
    another range. (Command line and boot data of a kexec'ed kernel split System RAM inside of a page.)
    """
    pages = 0
    for item in dump.ranges:
        first, last = item.start // PAGE_BYTES, item.end // PAGE_BYTES
        if item.start % PAGE_BYTES and not any(other.contains(first * PAGE_BYTES) for other in dump.ranges):
            first += 1
        pages += max(0, last - first)
    return pages
