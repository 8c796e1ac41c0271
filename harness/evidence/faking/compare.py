"""The EFI memory map that a kernel printed, held against what firmware and ``efi_fake_mem=`` must make of it.

Three comparisons, since no one of them is enough:

- **coverage**: every byte of the firmware's map is described once, nothing else is;
- **kind**: every byte has its firmware attributes and those of the entries over it, and its type, but for memory that
  firmware and the EFI stub lawfully took or gave back between the hand-off and ExitBootServices();
- **descriptors**: with the entries undone (attributes taken off, cuts joined) and the model applied again, the map is
  the printed one, descriptor by descriptor, in the printed order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TypeVar

from harness.evidence.faking import entries as fakemem
from harness.evidence.faking.entries import FakeEntry
from harness.evidence.maps.efimap import CONVENTIONAL, EfiRegion
from harness.evidence.ranges import Range

T = TypeVar("T")
_NAMED = 3
"""Entries that are named in one difference."""
_BOOT_MEMORY = frozenset(range(1, 5))
"""EfiLoaderCode, EfiLoaderData, EfiBootServicesCode, EfiBootServicesData."""


class Kind(StrEnum):
    """How the printed map differs. The most telling first."""

    MISSING_ATTRIBUTE = "missing attribute"
    """An entry had no effect on some of its range, or firmware's attributes were lost."""
    LOST = "lost coverage"
    DOUBLED = "doubled coverage"
    GARBAGE = "garbage"
    """An entry that is no range of memory, or lies where firmware has none."""
    EXTRA_ATTRIBUTE = "extra attribute"
    WRONG_TYPE = "wrong type"
    MISSING_SPLIT = "missing split"
    UNEXPECTED_SPLIT = "unexpected split"
    WRONG_ORDER = "wrong order"


@dataclass(frozen=True)
class Difference:
    kind: Kind
    range: Range
    text: str
    """One line, with the figures."""


def compare(
    printed: Sequence[EfiRegion | None], base: Sequence[EfiRegion], entries: Sequence[FakeEntry]
) -> tuple[Difference, ...]:
    """Every difference, the most telling kind first; none when the map is exactly what it must be.

    Args:
        printed: the kernel's map in its order; None for a descriptor that is no range of memory.
        base: the map before the entries: the firmware's at the hand-off, or the runtime map that kexec handed over.
    """
    rows = [region for region in printed if region is not None and region.range.size_bytes]
    found = [
        *_garbage(printed),
        *_coverage(rows, base),
        *_kinds(rows, base, entries),
        *_descriptors(rows, base, entries),
    ]
    order = list(Kind)
    return tuple(sorted(found, key=lambda item: (order.index(item.kind), item.range)))


def changed_since(printed: Sequence[EfiRegion | None], base: Sequence[EfiRegion]) -> tuple[tuple[Range, str], ...]:
    """What was lawfully taken or given back since the hand-off, with both types, for the reader."""
    rows = [region for region in printed if region is not None and region.range.size_bytes]
    found = (
        (where, f"{old.type_name} became {new.type_name}")
        for where, old, new in _pairs(rows, base)
        if old.type != new.type
    )
    return tuple(_joined(found))


def _garbage(printed: Sequence[EfiRegion | None]) -> Iterator[Difference]:
    for number, region in enumerate(printed):
        if region is None or not region.range.size_bytes:
            where = region.range if region else Range(0, 0)
            yield Difference(Kind.GARBAGE, where, f"mem{number:02} of the printed map is no range of memory")


def _coverage(rows: Sequence[EfiRegion], base: Sequence[EfiRegion]) -> Iterator[Difference]:
    had = _counted(region.range for region in base)
    has = _counted(region.range for region in rows)
    for where, (before, after) in _segments(had, has):
        if before and not after:
            yield Difference(Kind.LOST, where, f"{where} is in the firmware's map, but not in the kernel's")
        elif after > before and before:
            yield Difference(Kind.DOUBLED, where, f"{where} is described {after} times in the kernel's map")
        elif after > before:
            yield Difference(Kind.GARBAGE, where, f"{where} is in the kernel's map, but not in the firmware's")


def _kinds(rows: Sequence[EfiRegion], base: Sequence[EfiRegion], entries: Sequence[FakeEntry]) -> Iterator[Difference]:
    missing: list[tuple[Range, str]] = []
    extra: list[tuple[Range, str]] = []
    wrong: list[tuple[Range, str]] = []
    for where, old, new in _pairs(rows, base, entries):
        wanted = old.attributes | fakemem.attributes_over(where, entries)
        if lacking := wanted & ~new.attributes:
            missing.append((where, _names(lacking)))
        if more := new.attributes & ~wanted:
            extra.append((where, _names(more)))
        if not _lawful(old.type, new.type):
            wrong.append((where, f"{old.type_name} in the firmware's map and {new.type_name} in the kernel's"))
    for where, names in _joined(missing):
        yield Difference(Kind.MISSING_ATTRIBUTE, where, f"{where} lacks {names}{_blamed(where, entries)}")
    for where, names in _joined(extra):
        yield Difference(Kind.EXTRA_ATTRIBUTE, where, f"{where} has {names}, which nobody gave it")
    for where, names in _joined(wrong):
        yield Difference(Kind.WRONG_TYPE, where, f"{where} is {names}")


def _descriptors(
    rows: Sequence[EfiRegion], base: Sequence[EfiRegion], entries: Sequence[FakeEntry]
) -> Iterator[Difference]:
    own, cuts = _own_borders(base), fakemem.borders(entries)
    wanted = {region.range for region in fakemem.apply(undone(rows, base, entries), entries)}
    for where in sorted({region.range for region in rows} - wanted):
        yield Difference(Kind.MISSING_SPLIT, where, f"{where} is one descriptor, but a border of an entry lies in it")
    starts = {(region.range.start, region.type): region for region in rows}
    for before, after in zip(rows, (*rows[1:], None), strict=False):
        border = before.range.end
        behind = starts.get((border, before.type))
        if behind is None or border in own:
            continue
        if after is None or after.range.start != border:
            text = f"{behind.range} does not stand behind {before.range}, from which an entry split it"
            yield Difference(Kind.WRONG_ORDER, behind.range, text)
        elif border not in cuts and before.attributes == behind.attributes:
            text = f"{before.range} and {behind.range} are split without an entry"
            yield Difference(Kind.UNEXPECTED_SPLIT, behind.range, text)


def undone(rows: Sequence[EfiRegion], base: Sequence[EfiRegion], entries: Sequence[FakeEntry]) -> tuple[EfiRegion, ...]:
    """The kernel's map as it must have been before the entries: with firmware's attributes, and with neighbours joined
    that only a border of an entry divides.
    """
    cuts = fakemem.borders(entries) - _own_borders(base)
    joined: list[EfiRegion] = []
    for row in rows:
        under = next((region for region in base if region.range.contains(row.range.start)), None)
        plain = EfiRegion(row.type, row.range, under.attributes if under else row.attributes)
        last = joined[-1] if joined else None
        if (
            last is not None
            and (last.range.end, last.type, last.attributes) == (plain.range.start, plain.type, plain.attributes)
            and plain.range.start in cuts
        ):
            joined[-1] = EfiRegion(last.type, Range(last.range.start, plain.range.end), last.attributes)
        else:
            joined.append(plain)
    return tuple(joined)


def _own_borders(base: Sequence[EfiRegion]) -> frozenset[int]:
    return frozenset(address for region in base for address in (region.range.start, region.range.end))


def _lawful(old: int, new: int) -> bool:
    """May memory of one type be of another when boot services end? Free memory may be taken for what lasts until then,
    and such memory may be given back or used otherwise; all other types stay what they are.
    """
    boot = _BOOT_MEMORY | {CONVENTIONAL}
    return old == new or (old in boot and new in boot)


def _counted(ranges: Iterable[Range]) -> list[tuple[Range, int]]:
    """Disjoint ranges in order, each with how many of ``ranges`` lie over it."""
    steps: dict[int, int] = {}
    for item in ranges:
        steps[item.start] = steps.get(item.start, 0) + 1
        steps[item.end] = steps.get(item.end, 0) - 1
    found: list[tuple[Range, int]] = []
    depth, begin = 0, 0
    for address in sorted(steps):
        if depth and begin < address:
            found.append((Range(begin, address), depth))
        depth, begin = depth + steps[address], address
    return found


def _segments(
    one: Sequence[tuple[Range, int]], two: Sequence[tuple[Range, int]]
) -> Iterator[tuple[Range, tuple[int, int]]]:
    """Where either is not empty: the longest ranges over which both depths stay the same."""
    addresses = sorted({address for where, _ in (*one, *two) for address in (where.start, where.end)})

    def depth(of: Sequence[tuple[Range, int]], address: int) -> int:
        return next((count for where, count in of if where.contains(address)), 0)

    pairs = ((Range(start, end), (depth(one, start), depth(two, start))) for start, end in pairwise(addresses))
    yield from _joined(pair for pair in pairs if any(pair[1]))


def _pairs(
    rows: Sequence[EfiRegion], base: Sequence[EfiRegion], entries: Sequence[FakeEntry] = ()
) -> Iterator[tuple[Range, EfiRegion, EfiRegion]]:
    """Each piece of a row that no border of ``base`` or of an entry divides, with what describes it in both."""
    cuts = fakemem.borders(entries)
    for row in sorted(rows, key=lambda region: region.range):
        for old in base:
            common = old.range.intersection(row.range)
            if common is None:
                continue
            inside = sorted(address for address in cuts if common.start < address < common.end)
            edges = [common.start, *inside, common.end]
            for start, end in pairwise(edges):
                yield Range(start, end), old, row


def _joined(items: Iterable[tuple[Range, T]]) -> Iterator[tuple[Range, T]]:
    """Neighbours of which the same is said become one."""
    last: tuple[Range, T] | None = None
    for where, said in sorted(items, key=lambda item: item[0]):
        if last is not None and last[0].end == where.start and last[1] == said:
            last = (Range(last[0].start, where.end), said)
            continue
        if last is not None:
            yield last
        last = (where, said)
    if last is not None:
        yield last


def _blamed(where: Range, entries: Sequence[FakeEntry]) -> str:
    names = [str(entry) for entry in entries if entry.range.overlaps(where)]
    if not names:
        return ", which firmware gave it"
    if len(names) > _NAMED:
        names = [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1} more entries"]
    return f", which {' and '.join(names)} must give it"


def _names(bits: int) -> str:
    return "+".join(EfiRegion(0, Range(0, 0), bits).attribute_names)
