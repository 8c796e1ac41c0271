"""``efi_fake_mem=`` entries at random, and smaller ones that fail in the same way. Pure; the same seed gives the same.

Entries lie where a kernel miscounts: on borders of descriptors, a page beside them, on each other's borders, and
across several descriptors.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from harness.evidence.faking.entries import SPECIFIC_PURPOSE, FakeEntry
from harness.evidence.maps.efimap import CONVENTIONAL, EfiRegion
from harness.evidence.ranges import PAGE_BYTES, Range, align_down

Entries = tuple[FakeEntry, ...]

MIB = 1 << 20
MAX_ENTRIES = 8
_FLOOR = 32 * MIB
"""Below it are the trampolines for other CPUs and the kernel itself, which cannot be Soft Reserved."""
_SOFT_BUDGET_BYTES = 512 * MIB
"""What all EFI_MEMORY_SP entries of one command line may take from the kernel."""
_RAM_TYPES = range(1, 5), (CONVENTIONAL,)
# Attributes that change nothing but the map: NV, XP, RO on memory that is not runtime, and SP. Not UC, WC and the like,
# which firmware has set already, nor RUNTIME, which makes the kernel map the memory for firmware, nor MORE_RELIABLE,
# by which memblock chooses.
_ATTRIBUTES = (SPECIFIC_PURPOSE, SPECIFIC_PURPOSE, SPECIFIC_PURPOSE, 0x8000, 0x4000, 0x20000, SPECIFIC_PURPOSE | 0x8000)
_SIZES = (PAGE_BYTES, PAGE_BYTES, 2 * PAGE_BYTES, 16 * PAGE_BYTES, MIB, 2 * MIB, 16 * MIB, 64 * MIB)
_OFFSETS = (0, 0, 0, PAGE_BYTES, -PAGE_BYTES, MIB, -MIB)
_UNITS = (1 << 30, 256 * MIB, 16 * MIB, 2 * MIB, MIB, 64 * 1024)


def allowed(regions: Sequence[EfiRegion]) -> tuple[Range, ...]:
    """Where entries may lie: each run of touching RAM descriptors that are not runtime memory.

    Of a runtime descriptor that is split into pieces with different attributes the kernel maps each piece at an address
    of its own (efi_map_region(), arch/x86/platform/efi/efi_64.c), and firmware that refers to itself by distance would
    break: a fault that the command line asked for.
    """
    found: list[Range] = []
    for region in sorted(regions, key=lambda item: item.range):
        if region.runtime or not any(region.type in types for types in _RAM_TYPES) or region.range.end <= _FLOOR:
            continue
        where = Range(max(region.range.start, _FLOOR), region.range.end)
        if found and found[-1].end == where.start:
            found[-1] = Range(found[-1].start, where.end)
        else:
            found.append(where)
    return tuple(found)


def generate(rng: random.Random, regions: Sequence[EfiRegion]) -> Entries:
    """One to MAX_ENTRIES entries."""
    places = allowed(regions)
    anchors = _anchors(regions, places)
    entries: list[FakeEntry] = []
    soft_bytes = 0
    for _ in range(rng.randint(1, MAX_ENTRIES)):
        entry = _entry(rng, anchors, places)
        if entry is None:
            continue
        if entry.attributes & SPECIFIC_PURPOSE:
            soft_bytes += entry.range.size_bytes
            if soft_bytes > _SOFT_BUDGET_BYTES:
                continue
        entries.append(entry)
        anchors = [*anchors, entry.range.start, entry.range.end, entry.range.start, entry.range.end]
    return tuple(entries) or (FakeEntry(Range.sized(places[0].start, PAGE_BYTES), SPECIFIC_PURPOSE),)


def _anchors(regions: Sequence[EfiRegion], places: Sequence[Range]) -> list[int]:
    borders = {address for region in regions for address in (region.range.start, region.range.end)}
    near = [address for address in borders if any(where.start <= address <= where.end for where in places)]
    middles = [align_down((where.start + where.end) // 2, 2 * MIB) for where in places if where.size_bytes > 64 * MIB]
    # Large ranges have two borders among hundreds: they are named as often as all the small ones.
    large = [address for where in places if where.size_bytes > 64 * MIB for address in (where.start, where.end)]
    return sorted(near) + (middles + large) * max(1, len(near) // max(1, len(middles + large)))


def _entry(rng: random.Random, anchors: Sequence[int], places: Sequence[Range]) -> FakeEntry | None:
    """One entry that begins or ends at an anchor, or nearly so; None when it falls out of what is allowed."""
    anchor = rng.choice(anchors) + rng.choice(_OFFSETS)
    size_bytes = rng.choice(_SIZES) * rng.randint(1, 3)
    start = anchor if rng.random() < 0.5 else anchor - size_bytes
    attributes = rng.choice(_ATTRIBUTES)
    wanted = Range(max(start, 0), max(start + size_bytes, 0))
    parts = [part for where in places if (part := where.intersection(wanted)) is not None]
    return FakeEntry(parts[0], attributes) if parts else None


class _Shrinker:
    """Counts what it asks, and asks nothing twice."""

    def __init__(self, fails: Callable[[Entries], bool], budget: int) -> None:
        self._fails = fails
        self._known: dict[Entries, bool] = {}
        self._left = budget

    def fails(self, entries: Entries) -> bool:
        """Still, as far as that may still be asked? An empty command line never does."""
        if not entries:
            return False
        if entries not in self._known:
            if self._left <= 0:
                return False
            self._left -= 1
            self._known[entries] = self._fails(entries)
        return self._known[entries]


def shrink(entries: Entries, fails: Callable[[Entries], bool], budget: int = 60) -> Entries:
    """The fewest entries, then the simplest numbers, that still fail.

    Args:
        fails: runs a command line; ``entries`` itself is known to fail and is not run again.
        budget: how often ``fails`` may be called; what is smallest when it is used up is the answer.
    """
    shrinker = _Shrinker(fails, budget)
    smallest = _fewest(entries, shrinker)
    again = True
    while again:
        again = False
        for n in range(len(smallest)):
            for simpler in _simpler(smallest[n]):
                candidate = (*smallest[:n], simpler, *smallest[n + 1 :])
                if shrinker.fails(candidate):
                    smallest, again = candidate, True
                    break
    return smallest


def _fewest(entries: Entries, shrinker: _Shrinker) -> Entries:
    """Take away halves, quarters, ... single entries, as long as it still fails (delta debugging)."""
    step = max(1, len(entries) // 2)
    while True:
        for begin in range(0, len(entries), step):
            fewer = entries[:begin] + entries[begin + step :]
            if shrinker.fails(fewer):
                entries, step = fewer, min(step, max(1, len(fewer) // 2))
                break
        else:
            if step == 1:
                return entries
            step = max(1, step // 2)


def _simpler(entry: FakeEntry) -> Iterator[FakeEntry]:
    """Entries that are shorter to write, the simplest first."""
    if entry.attributes != SPECIFIC_PURPOSE:
        yield FakeEntry(entry.range, SPECIFIC_PURPOSE)
    seen = set()
    for unit in _UNITS:
        for start in (align_down(entry.range.start, unit), align_down(entry.range.start, unit) + unit):
            for size_bytes in (unit, entry.range.size_bytes):
                simpler = FakeEntry(Range.sized(start, size_bytes), entry.attributes)
                if start >= _FLOOR and len(str(simpler)) < len(str(entry)) and simpler not in seen:
                    seen.add(simpler)
                    yield simpler
