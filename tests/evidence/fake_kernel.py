"""Kernels that exist nowhere: what each would make of a firmware's map and ``efi_fake_mem=`` entries."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.faking import entries as fakemem
from harness.evidence.faking.entries import FakeEntry
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.ranges import Range

MIB = 1 << 20
GIB = 1 << 30
WB = 0xF
SP = fakemem.SPECIFIC_PURPOSE


def region(kind: int, start: int, end: int, attributes: int = WB) -> EfiRegion:
    return EfiRegion(kind, Range(start, end), attributes)


# The shape of OVMF's map in a 3 GiB guest (q35): boot services in pieces below 2 GiB, all of the rest above 4 GiB.
FIRMWARE = (
    region(7, 0, 0xA0000),
    region(7, 1 * MIB, 8 * MIB),
    region(10, 8 * MIB, 9 * MIB),
    region(4, 9 * MIB, 21 * MIB),
    region(7, 21 * MIB, 1979 * MIB),
    region(1, 1979 * MIB, 1980 * MIB),
    region(4, 1980 * MIB, 1984 * MIB),
    region(3, 1984 * MIB, 1985 * MIB),
    region(7, 1985 * MIB, 2000 * MIB),
    region(6, 2000 * MIB, 2001 * MIB, WB | 1 << 63),
    region(9, 2001 * MIB, 2002 * MIB),
    region(7, 2002 * MIB, 2048 * MIB),
    region(7, 4 * GIB, 5 * GIB),
    region(11, 0xFFC00000, 0x100000000, 1 | 1 << 63),
)


def entry(text: str) -> FakeEntry:
    """``4G@9G:0x40000``"""
    found = fakemem.parse_cmdline(f"efi_fake_mem={text}")
    assert isinstance(found, tuple), found
    assert len(found) == 1
    return found[0]


def good(firmware: Sequence[EfiRegion], entries: Sequence[FakeEntry]) -> list[EfiRegion | None]:
    """Linux 5.6 and later, one entry after the other: a second writing of the model, by steps as the kernel goes."""
    current = list(firmware)
    for item in sorted(entries, key=lambda item: item.range.start):
        current = _insert(current, item)
    return list(current)


def before_5_6(firmware: Sequence[EfiRegion], entries: Sequence[FakeEntry]) -> list[EfiRegion | None]:
    """Linux 5.5: room for the splits of all entries, but each is inserted into a copy of the original map, in the same
    buffer. What was never written is no descriptor.
    """
    one_by_one = [_insert(list(firmware), item) for item in sorted(entries, key=lambda item: item.range.start)]
    room = len(firmware) + sum(len(result) - len(firmware) for result in one_by_one)
    buffer: list[EfiRegion | None] = [None] * max([room, *map(len, one_by_one)])
    for result in one_by_one:
        buffer[: len(result)] = result
    return buffer[:room]


def _insert(regions: list[EfiRegion], item: FakeEntry) -> list[EfiRegion]:
    """One entry into a map: before, inside and behind it."""
    result = []
    for old in regions:
        common = old.range.intersection(item.range)
        if common is None:
            result.append(old)
            continue
        if old.range.start < common.start:
            result.append(EfiRegion(old.type, Range(old.range.start, common.start), old.attributes))
        result.append(EfiRegion(old.type, common, old.attributes | item.attributes))
        if common.end < old.range.end:
            result.append(EfiRegion(old.type, Range(common.end, old.range.end), old.attributes))
    return result
