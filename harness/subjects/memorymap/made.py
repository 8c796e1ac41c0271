"""Did the kernel get the memory map that was asked for? And what has become of an imported one, entry by entry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from harness.evidence.defect import Defect
from harness.evidence.maps import e820
from harness.evidence.maps.efimap import CONVENTIONAL, EfiRegion
from harness.evidence.ranges import Range
from harness.evidence.tables import canary
from harness.model.causes import Cause
from harness.model.record import Point
from harness.model.verdict import Check, Evidence
from harness.model.words.memorymap import MapEntry, MapRequest, MemoryPlan, RangePlan, RangeType
from harness.record.observations import MadeRange, Observations
from harness.subjects.common import judged, passed

_NAME = "memory map"
_HOOKED = "hooked"
_IMPORTED = re.compile(r"mem\d+\b")
"""How ``harness memmap import`` begins an entry's note."""


def check_memory_map(observations: Observations) -> Check | None:
    """None when the scenario leaves the map as firmware makes it, or when the agent did not come so far."""
    plan = observations.plan.memory
    if plan is None or observations.record.frame("handoff") is None:
        return None
    if not observations.efi_map:
        return _error(Cause.MISSING_REPORT, "the EFI agent's memory map is missing or cannot be decoded")
    wrong = next(_wrong(observations, plan), "")
    if wrong:
        return _error(Cause.SETUP_NOT_PROVED, wrong)
    wanted = observations.plan.scenario.firmware.memory
    imported = wanted.map if wanted is not None else None
    return passed(
        _NAME,
        _summary(observations, plan, imported),
        evidence=(
            *_strict_evidence(observations, plan),
            *_hook_evidence(observations),
            *(_account(observations, imported) if imported is not None else ()),
        ),
    )


def _error(cause: Cause, summary: str) -> Check:
    return judged(
        _NAME,
        cause,
        summary,
        hint="Look at the EFI agent's frames in journal.jsonl, and at `harness memmap show` of this run.",
    )


def _wrong(observations: Observations, plan: MemoryPlan) -> Iterator[str]:
    for item in plan.ranges:
        if not item.fit:
            yield from _range_wrong(observations, item)
    yield from _canaries_wrong(observations, plan)
    image = observations.record.frame("image")
    if plan.kernel_at is not None and (image is None or int(image.fields["address"], 0) != plan.kernel_at):
        where = image.fields["address"] if image is not None else "nowhere"
        yield f"the kernel's image was to be loaded at {plan.kernel_at:#x}, it was loaded at {where}"
    hooked = [made for made in observations.made_ranges if made.how == _HOOKED]
    if hooked and observations.record.frame("hooks") is None:
        yield f"the EFI agent says that {hooked[0].range} is hooked, but not that it hooked anything"
    yield from _not_seen(observations, plan)


def _range_wrong(observations: Observations, item: RangePlan) -> Iterator[str]:
    """Is a range in the map of the hand-off what it should be, every byte of it?"""
    where = Range.sized(item.at, item.size_bytes)
    listed = _listed(observations.efi_map, where)
    if item.type is RangeType.HOLE:
        if listed:
            yield f"{where} was to be a hole, the map has {listed[0].type_name} there"
        return
    same = sum(_shared(region, where) for region in listed if region.type == item.type.number)
    if same != where.size_bytes:
        names = " and ".join(dict.fromkeys(region.type_name for region in listed)) or "nothing"
        yield f"{where} was to be {item.type}, the map has {names} there ({same:#x} bytes of that type)"


def _canaries_wrong(observations: Observations, plan: MemoryPlan) -> Iterator[str]:
    """Were the canaries there, all of them, when the kernel was started?"""
    for made in observations.made_ranges:
        seed = _seed(plan, made) if made.canary else None
        if seed is None:
            continue
        sample = next((item for item in observations.range_samples(made) if item.point is Point.HANDOFF), None)
        if sample is None:
            yield f"the canaries at {made.range} were never read back from outside"
        elif observations.record.sampled(sample) != canary.canary_bytes(
            seed, sample.pages_address, sample.pages_size_bytes
        ):
            yield f"the canaries at {made.range} were damaged before the hand-off"
    for item in plan.ranges:
        where = Range.sized(item.at, item.size_bytes)
        held = sum(
            made.range.size_bytes
            for made in observations.made_ranges
            if made.canary and not made.fit and where.contains(made.range)
        )
        if item.canary_seed is not None and not item.fit and held != item.size_bytes:
            yield f"canaries were to fill {where}, the EFI agent has put them into {held:#x} bytes of it"


def _seed(plan: MemoryPlan, made: MadeRange) -> int | None:
    for item in plan.ranges:
        if item.fit == made.fit and Range.sized(item.at, item.size_bytes).contains(made.range):
            return item.canary_seed
    return None


def _not_seen(observations: Observations, plan: MemoryPlan) -> Iterator[str]:
    """Has the first kernel this map, by its own /sys/firmware/memmap? Silent when it has not reported one."""
    listed = e820.parse_memmap(observations.record.text(1, "memmap") or "absent")
    if listed is None or isinstance(listed, Defect):
        return
    for item in plan.ranges:
        where = Range.sized(item.at, item.size_bytes)
        if item.fit or item.type is RangeType.PERSISTENT:
            continue
        ram = sum(
            shared.size_bytes
            for entry in listed
            if entry.type_name == e820.SYSTEM_RAM and (shared := entry.range.intersection(where)) is not None
        )
        if ram != (0 if item.type.kept else where.size_bytes):
            yield f"the first kernel has {ram:#x} bytes of {where} as System RAM, although it is {item.type}"


def _listed(regions: Sequence[EfiRegion], where: Range) -> tuple[EfiRegion, ...]:
    return tuple(region for region in regions if region.range.overlaps(where))


def _shared(region: EfiRegion, where: Range) -> int:
    shared = region.range.intersection(where)
    return shared.size_bytes if shared is not None else 0


def _summary(observations: Observations, plan: MemoryPlan, imported: MapRequest | None) -> str:
    strict = [item for item in plan.ranges if not item.fit]
    said = [f"{len(strict)} range{'s are' if len(strict) > 1 else ' is'} as asked for"] if strict else []
    if imported is not None:
        whole = [entry for entry in imported.entries if _same(observations, entry) == entry.size]
        exact = sum(not _scaled(entry) for entry in whole)
        none = sum(_same(observations, entry) == 0 for entry in imported.entries)
        part = len(imported.entries) - len(whole) - none
        source = f" of {imported.source}" if imported.source else ""
        said.append(
            f"of the map{source} {exact} entries are as they were, {len(whole) - exact} moved or cut for this guest, "
            f"{part} there in part, {none} not at all, and {len(imported.lost)} lost in the import"
        )
    if plan.kernel_at is not None:
        said.append(f"the kernel's image is at {plan.kernel_at:#x}")
    return "; ".join(said) or "nothing was asked for"


def _strict_evidence(observations: Observations, plan: MemoryPlan) -> Iterator[Evidence]:
    where = observations.cited(observations.record.frame("memmap"))
    for item in plan.ranges:
        if not item.fit:
            held = ", filled with canaries, read back from outside" if item.canary_seed is not None else ""
            yield Evidence(text=f"{Range.sized(item.at, item.size_bytes)} is {item.type}{held}", where=where)


def _hook_evidence(observations: Observations) -> Iterator[Evidence]:
    """What is so in the hooked GetMemoryMap only."""
    hooked = [made for made in observations.made_ranges if made.how == _HOOKED]
    for made in hooked:
        own = "boot services data that the agent has allocated"
        if made.was != CONVENTIONAL:
            own = (
                f"{EfiRegion(made.was, made.range, 0).type_name} there, a firmware volume that nothing was found to use"
            )
        yield Evidence(
            text=f"{made.range}: {made.type_name} by the hooked GetMemoryMap; firmware has {own}",
            where=observations.cited(observations.record.frame("firmware-memmap")),
        )


def _same(observations: Observations, entry: MapEntry) -> int:
    """How many bytes of an imported entry have its type in the map that was handed over."""
    where = Range.sized(entry.at, entry.size)
    return sum(_shared(region, where) for region in observations.efi_map if region.type == entry.type.number)


def _account(observations: Observations, imported: MapRequest) -> Iterator[Evidence]:
    """Entry by entry, what could not be reproduced and what is there instead; then what could."""
    where = observations.cited(observations.record.frame("memmap"))
    whole = [entry for entry in imported.entries if _same(observations, entry) == entry.size]
    for entry in imported.entries:
        if entry not in whole:
            yield Evidence(text=_instead(observations, entry), where=where)
    for lost in imported.lost:
        place = Range.sized(lost.at, lost.size)
        yield Evidence(text=f"lost in the import: {lost.type} {place}: {lost.why}")
    exact = ", ".join(_name(entry) for entry in whole if not _scaled(entry))
    if exact:
        yield Evidence(text=f"as they were: {exact}", where=where)
    scaled = ", ".join(f"{_name(entry)} ({_scaled(entry)})" for entry in whole if _scaled(entry))
    if scaled:
        yield Evidence(text=f"as the import has scaled them: {scaled}", where=where)
    for region, gap in _gaps(observations, imported):
        yield Evidence(text=f"{gap} is not in that map; firmware's {region.type_name} stays there", where=where)
    end = max(entry.at + entry.size for entry in imported.entries)
    above = [region for region in observations.efi_map if region.range.start >= end]
    if above:
        yield Evidence(text=f"from {end:#x} on the map is firmware's own: {len(above)} entries", where=where)


def _gaps(observations: Observations, imported: MapRequest) -> Iterator[tuple[EfiRegion, Range]]:
    """What the handed over map has between the first and the last entry of the imported one, and that does not list."""
    entries = sorted(imported.entries, key=lambda entry: entry.at)
    for before, after in pairwise(entries):
        hole = Range(before.at + before.size, max(before.at + before.size, after.at))
        for region in observations.efi_map:
            both = region.range.intersection(hole)
            if both is not None:
                yield region, both


def _name(entry: MapEntry) -> str:
    """The entry's name in the log it was imported from, else its place."""
    name = entry.note.partition(", ")[0]
    return name if _IMPORTED.match(name) else f"{entry.at:#x}"


def _scaled(entry: MapEntry) -> str:
    """What the import has changed of an entry; empty when nothing."""
    return entry.note.partition(", ")[2] if _IMPORTED.match(entry.note) else ""


def _instead(observations: Observations, entry: MapEntry) -> str:
    """``mem05 conventional 0x62a000-0x41fffff: 0x3a00000 of 0x3bd6000 bytes; ACPIMemoryNVS 0x806000-0x807fff``."""
    where = Range.sized(entry.at, entry.size)
    others = [
        f"{region.type_name} {shared}"
        for region in observations.efi_map
        if region.type != entry.type.number and (shared := region.range.intersection(where)) is not None
    ]
    more = f" and {len(others) - 4} more" if len(others) > 4 else ""
    instead = f"; there are {', '.join(others[:4])}{more}" if others else "; the map has nothing there"
    same = _same(observations, entry)
    share = f"{same:#x} of {entry.size:#x} bytes" if same else "not at all"
    return f"{_name(entry)}, {entry.type} {where}: {share}{instead}"
