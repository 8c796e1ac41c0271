"""Does the dump hold what memory held, all of it, and did nothing write to it that may not?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from harness.evidence import groundtruth
from harness.evidence.defect import Defect
from harness.evidence.groundtruth import Digests, Pair
from harness.evidence.ranges import PAGE_BYTES, Range, merged
from harness.evidence.vmcore import Dump, FileDefect
from harness.evidence.vmcore.lawful import at_panic
from harness.evidence.vmcore.truth import Comparison, Difference, Lawful, compare
from harness.model.causes import Cause
from harness.model.record import VMCORE_INCOMPLETE, Point
from harness.model.verdict import Check, Evidence
from harness.record.record import UnreadableRecordError
from harness.subjects.common import passed
from harness.subjects.kdump.said import failed, missing
from harness.subjects.kdump.view import KdumpView

_RANGES = "kdump: ranges"
_MEMORY = "kdump: memory"
_TRUTH = "kdump: panic to capture"
_LOW = Range(0, 2**20)
_READ_BYTES = 2**20
_SHOWN = 8
_WIPED = (
    "the capture kernel zeroes the 16 bytes where the EFI stub's INITRD table once was, whoever they belong to now "
    "(6e62d1c6f2c7, v6.19; docs/findings.md)"
)
_KERNEL_DATA = ("Kernel data", "Kernel bss")
_KERNEL_FIXED = ("Kernel code", "Kernel rodata")
_STRAY_PAGES, _STRAY_BYTES = 32, 256


def check_ranges(view: KdumpView) -> Check | None:
    """The dump is of all System RAM of the crashed kernel but the capture kernel's region, and of nothing else.

    The first MiB may be missing: kernels since v5.5 leave it out (6f599d84231f), kexec-tools does not.
    """
    dump, entry = view.dump, view.memory(Point.CAPTURE)
    if not isinstance(dump, Dump) or not whole(view):
        return None
    if entry is None or not view.rows:
        return missing(_RANGES, "memory was not sampled when the capture kernel came up")
    wanted = merged(Range(start, end) for start, end in entry.ranges)
    there = merged(dump.ranges)
    lost = [item for item in _without(wanted, there) if item.end > _LOW.end]
    more = [item for item in _without(there, wanted) if item.end > _LOW.end]
    if lost:
        return _wrong_ranges(view, f"the dump has nothing of {_text(lost)}, which was System RAM")
    if more:
        names = sorted({row.name for item in more for row in view.rows if row.depth == 0 and row.range.overlaps(item)})
        return _wrong_ranges(
            view, f"the dump has {_text(more)}, which is {' and '.join(names) or 'nothing'} in /proc/iomem"
        )
    soft = [row.range for row in view.rows if row.name == "Soft Reserved"]
    notes = [Evidence(text=f"Soft Reserved, and not in the dump: {_text(soft)}", where="facts")] if soft else []
    return passed(_RANGES, "the dump is of all System RAM but the capture kernel's region", evidence=notes)


def _wrong_ranges(view: KdumpView, text: str) -> Check:
    where = view.observations.where(view.crashed.number, "iomem")
    row = Evidence(text=f"/proc/iomem of the crashed kernel: {_text([*_ram(view)])}", where=where)
    return failed(_RANGES, Cause.VMCORE_RANGES, text, epoch=view.crashed.number, evidence=(row,))


def _ram(view: KdumpView) -> Iterator[Range]:
    return (row.range for row in view.rows if row.depth == 0 and row.name == "System RAM")


def check_memory(view: KdumpView) -> Check | None:
    """Every page of the dump is what memory held when the capture kernel came up. No exceptions are lawful here."""
    dump, entry = view.dump, view.memory(Point.CAPTURE)
    if not isinstance(dump, Dump) or not whole(view):
        return None
    if entry is None:
        return missing(_MEMORY, "memory was not sampled when the capture kernel came up")
    truth = view.digests(entry)
    compared, wrong = _hold(dump, truth)
    if wrong:
        _must_be_sealed(view)
        text = f"{len(wrong)} of {compared} pages of the dump are not what memory held when the capture kernel came up"
        rows = tuple(Evidence(text=f"the page at {item}", where="the dump") for item in wrong[:_SHOWN])
        return failed(_MEMORY, Cause.VMCORE_CORRUPT, text, epoch=view.capture.number, evidence=rows)
    if not compared:
        return missing(_MEMORY, "no page of the dump was sampled from outside, so nothing is proved")
    return passed(
        _MEMORY,
        f"all {compared} pages of the dump are what memory held, read from outside as the capture kernel came up",
        evidence=(
            Evidence(
                text=f"{truth.pages} pages were sampled, {truth.zero_pages()} of them zeros", where=entry.digests_file
            ),
        ),
    )


def _hold(dump: Dump, truth: Digests) -> tuple[int, list[str]]:
    """How many pages were held against the sample, and those that differ."""
    compared, wrong = 0, list[str]()
    for pfn, page in _pages(dump):
        known = truth.at(pfn)
        if known is None:
            continue  # check_ranges
        compared += 1
        if not isinstance(page, bytes) or groundtruth.digest(page) != known:
            wrong.append(f"{pfn * PAGE_BYTES:#x}{f': {page}' if isinstance(page, FileDefect) else ''}")
    for pfn, page in dump.copies():
        if truth.at(pfn) not in (None, groundtruth.digest(page)):
            wrong.append(f"{pfn * PAGE_BYTES:#x}, in the kernel's own program header")
    return compared, wrong


def _pages(dump: Dump) -> Iterator[tuple[int, bytes | FileDefect]]:
    """Every page in the dump; raw ones in large pieces."""
    for run in dump.held():
        step = _READ_BYTES // PAGE_BYTES
        for first in range(run.start, run.end, step):
            count = min(step, run.end - first)
            data = dump.read_phys(first * PAGE_BYTES, count * PAGE_BYTES)
            if isinstance(data, bytes):
                for at in range(count):
                    yield first + at, data[at * PAGE_BYTES : (at + 1) * PAGE_BYTES]
                continue
            for pfn in range(first, first + count):
                page = dump.page(pfn)
                if page is not None:
                    yield pfn, page


def _must_be_sealed(view: KdumpView) -> None:
    """A dump that was changed after the run accuses nobody.

    Raises:
        UnreadableRecordError: the file is not what it was when it was taken out of the machine.
    """
    entry = view.vmcore
    file = view.observations.record.big(entry.file) if entry is not None else None
    if entry is None or file is None:
        return
    digest = hashlib.blake2b()
    for at in range(0, file.size_bytes, _READ_BYTES):
        digest.update(file.source(at, _READ_BYTES))
    if digest.hexdigest() != entry.blake2b:
        raise UnreadableRecordError(f"{entry.file}: is not what it was when it was taken out of the machine")


def check_truth(view: KdumpView) -> Check | None:
    """From the panic to the capture kernel only that changed which the crash itself has to write.

    With more than one CPU the others run on until they are stopped, and may write anywhere but to the kernel's code and
    constants; only these are held then.
    """
    dump, panic, entry = view.dump, view.memory(Point.PANIC), view.memory(Point.CAPTURE)
    if not isinstance(dump, Dump) or not whole(view):
        return None
    if panic is None or entry is None:
        return missing(_TRUTH, "memory was not sampled at the panic and when the capture kernel came up")
    pairs = view.changed(entry)
    total = view.digests(panic).pages
    if len(pairs) < entry.changed:
        text = f"{entry.changed} of {total} pages changed between the panic and the capture kernel"
        return failed(_TRUTH, Cause.MEMORY_CHANGED, text, epoch=view.crashed.number)
    if view.observations.plan.scenario.machine.cpus > 1:
        return _code_only(view, pairs, total)
    found = _compare(view, dump, pairs)
    absent = found.absent + found.outside
    stray = () if found.passed or not _only_stray(view, found) else found.different
    if not found.passed and not stray and found.compared:
        rows = tuple(Evidence(text=str(item), where="samples") for item in found.different[:_SHOWN])
        text = (
            f"{found.different_pages} pages changed after the panic that nothing may write to, of {len(pairs)} that did"
        )
        return failed(_TRUTH, Cause.MEMORY_CHANGED, text, epoch=view.crashed.number, evidence=rows)
    left_out = f"; {absent} of them are not in the dump and were not looked at" if absent else ""
    inexact = (
        f"; without symbols {found.coarse_pages} of them are lawful by their range only" if found.coarse_pages else ""
    )
    return passed(
        _TRUTH,
        f"{len(pairs)} of {total} pages changed between the panic and the capture kernel, all as they may"
        f"{_but_for(stray)}{left_out}{inexact}",
        evidence=(
            *(Evidence(text=f"not on the list of what a crash writes: {item}", where="samples") for item in stray),
            *(
                Evidence(text=f"{count} pages: {reason}", where=entry.pages_file or "")
                for reason, count in found.lawful.items()
            ),
        ),
    )


def _only_stray(view: KdumpView, found: Comparison) -> bool:
    """Are the differences few bytes in few pages, and none in the kernel's code and constants?

    Until it jumps the kernel goes on in consoles, drivers and notifiers, and writes data that no list names for every
    kernel. Such bytes are told, and no FAIL but with ``kdump_clean: strict``. A segment that was put in the wrong
    place is larger.
    """
    fixed = [row.range for row in view.rows if row.name in _KERNEL_FIXED]
    return (
        not view.strict
        and not found.unreadable
        and 0 < found.different_pages <= _STRAY_PAGES
        and all(item.count_bytes <= _STRAY_BYTES for item in found.different)
        and not any(area.contains(item.address) for area in fixed for item in found.different)
    )


def _but_for(stray: Sequence[Difference]) -> str:
    if not stray:
        return ""
    return f", but for {sum(item.count_bytes for item in stray)} bytes of data whose writer is not known"


def _compare(view: KdumpView, dump: Dump, pairs: Sequence[Pair]) -> Comparison:
    info = dump.vmcoreinfo
    moved = 0 if isinstance(info, Defect) else info.kernel_offset
    symbols = None if view.symbols is None else view.symbols.shifted(moved)
    data = [row.range for row in view.rows if row.name in _KERNEL_DATA]
    lawful: list[Lawful] = [*at_panic(dump, symbols, data)]
    if not view.strict and view.wiped is not None:
        lawful.append(Lawful(view.wiped, _WIPED))
    return compare(dump, ((pair.pfn * PAGE_BYTES, pair.before) for pair in pairs), lawful)


def _code_only(view: KdumpView, pairs: Sequence[Pair], total: int) -> Check:
    fixed = [row.range for row in view.rows if row.name in _KERNEL_FIXED]
    hit = [pair.pfn * PAGE_BYTES for pair in pairs if any(item.contains(pair.pfn * PAGE_BYTES) for item in fixed)]
    if hit:
        text = (
            f"{len(hit)} pages of the kernel's code or constants changed after the panic; the first is at {hit[0]:#x}"
        )
        return failed(_TRUTH, Cause.MEMORY_CHANGED, text, epoch=view.crashed.number)
    return passed(
        _TRUTH,
        f"{len(pairs)} of {total} pages changed between the panic and the capture kernel, none of the kernel's code "
        "and constants (other CPUs run until they are stopped)",
    )


def whole(view: KdumpView) -> bool:
    """A dump that was cut short is judged by how it ended."""
    return view.vmcore is not None and view.vmcore.file != VMCORE_INCOMPLETE


def _without(these: Sequence[Range], those: Sequence[Range]) -> Iterator[Range]:
    """The pages of ``these`` that are not in ``those``; both ascending and disjoint."""
    for item in these:
        start = item.start
        for other in those:
            if other.end <= start or other.start >= item.end:
                continue
            if other.start > start:
                yield Range(start, other.start)
            start = max(start, other.end)
        if start < item.end:
            yield Range(start, item.end)


def _text(ranges: Sequence[Range]) -> str:
    return ", ".join(map(str, ranges))
