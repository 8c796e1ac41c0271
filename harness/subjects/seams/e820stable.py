"""Is the memory map that kexec'ed kernels are given always the same one?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.evidence.defect import Defect
from harness.evidence.maps import e820
from harness.evidence.maps.e820 import MemmapEntry
from harness.evidence.ranges import PAGE_BYTES, Range, merged, without
from harness.model.causes import Cause
from harness.model.verdict import Check, Evidence
from harness.record.observations import Observations
from harness.subjects.common import judged, missing, passed

_NAME = "e820_stable"
_FIRST_PAGE = Range(0, PAGE_BYTES)
"""kexec-tools leaves the first 1 KiB out of what it hands on (the real-mode interrupt vectors)."""

_Map = dict[str, tuple[Range, ...]]
"""By type: its ranges, merged."""
_Wrong = tuple[Cause, str, list[str]]
"""Cause, summary, the ranges."""


@dataclass(frozen=True)
class _Given:
    """What one kernel was given in boot_params, and what it shows of that in /sys/firmware/memmap."""

    epoch: int
    entries: tuple[MemmapEntry, ...]
    shown: tuple[MemmapEntry, ...]


def check_e820_stable(observations: Observations) -> Check:
    """The number of entries from kexec to kexec, and what they describe."""
    given: list[_Given] = []
    for plan in observations.plan.epochs:
        found = _look(observations, plan.number)
        if isinstance(found, Defect):
            return missing(
                _NAME,
                f"epoch {plan.number}: {found}",
                epoch=plan.number,
                hint="Look at the guest agent's frames in journal.jsonl.",
            )
        given.append(found)
    for number in range(1, len(given) + 1):
        wrong = next(_wrong(given[:number]), None)
        if wrong is not None:
            return _failed(given[number - 1].epoch, wrong, tuple(_evidence(observations, given)))
    counts = [len(item.entries) for item in given]
    return passed(
        _NAME,
        f"the e820 table has {', '.join(map(str, counts))} entries over {len(counts) - 1} kexecs, and "
        "describes the same memory each time",
        evidence=tuple(_evidence(observations, given)),
    )


def _look(observations: Observations, epoch: int) -> _Given | Defect:
    entries = e820.parse_boot_params(observations.record.fact(epoch, "boot-params") or b"")
    shown = e820.parse_memmap(observations.record.text(epoch, "memmap") or "absent")
    if isinstance(entries, Defect):
        return entries
    if isinstance(shown, Defect) or shown is None:
        return shown or Defect("/sys/firmware/memmap was not reported")
    return _Given(epoch, entries, shown)


def _wrong(given: Sequence[_Given]) -> Iterator[_Wrong]:
    """What is wrong with the last kernel's map."""
    last, before = given[-1], given[-2] if len(given) > 1 else given[-1]
    # What firmware gives and what a kexec gives may differ in length once; after that nothing may be added.
    if last.epoch > 2 and len(last.entries) > len(before.entries):
        new = [f"new: {item.range} {item.type_name}" for item in last.entries if item not in before.entries]
        text = f"the e820 table has {len(last.entries)} entries, {len(before.entries)} in the one before"
        yield Cause.E820_GROWS, text, new
    changes = _changes(_by_type(given[0].entries), _by_type(last.entries), "boot_params of epoch 1")
    if changes:
        yield Cause.E820_CHANGED, "the e820 table describes other memory than that of epoch 1", changes
    changes = _changes(_by_type(last.entries), _by_type(last.shown), "boot_params of this epoch")
    if changes:
        yield Cause.E820_CHANGED, "/sys/firmware/memmap shows other memory than the kernel was given", changes


def _by_type(entries: Sequence[MemmapEntry]) -> _Map:
    found: defaultdict[str, list[Range]] = defaultdict(list)
    for entry in entries:
        found[entry.type_name].append(entry.range)
    return {name: without(merged(ranges), [_FIRST_PAGE]) for name, ranges in found.items()}


def _changes(before: _Map, after: _Map, what: str) -> list[str]:
    gone = [(name, item) for name, ranges in before.items() for item in without(ranges, after.get(name, ()))]
    new = [(name, item) for name, ranges in after.items() for item in without(ranges, before.get(name, ()))]
    return [
        *(f"{item} is not {name}, as it is in {what}" for name, item in gone),
        *(f"{item} is {name}, as it is not in {what}" for name, item in new),
    ]


def _failed(epoch: int, wrong: _Wrong, counts: tuple[Evidence, ...]) -> Check:
    cause, text, ranges = wrong
    return judged(
        _NAME,
        cause,
        f"epoch {epoch}: {text}" + (f": {ranges[0]}" if ranges else ""),
        epoch=epoch,
        evidence=(*(Evidence(text=item) for item in ranges[:10]), *counts),
        hint="What a kernel adds for itself must not be handed on: e820_table_kexec in arch/x86/kernel/e820.c.",
    )


def _evidence(observations: Observations, given: Sequence[_Given]) -> Iterator[Evidence]:
    for item in given:
        plan = observations.plan.epochs[item.epoch - 1]
        how = "from firmware" if plan.syscall is None else f"by kexec ({plan.syscall})"
        yield Evidence(
            text=f"epoch {item.epoch}, {how}: {len(item.entries)} entries, {len(item.shown)} in /sys/firmware/memmap",
            where=observations.where(item.epoch, "boot-params"),
        )
