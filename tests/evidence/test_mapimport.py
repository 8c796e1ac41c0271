"""A map of another machine in a guest of this size: nothing of it may get lost without a word."""

from __future__ import annotations

import json

import pytest

from harness.evidence.listings import mapread
from harness.evidence.listings.entries import LogEntry
from harness.evidence.listings.mapimport import FIRMWARE_ROOM_BYTES, scale, to_yaml
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.ranges import Range
from harness.load.reading import yaml12
from harness.model.words.memorymap import MapFile, RangeType, overlap_mistake, ram

from .test_efilog import HYPERV

GIB = 2**30


def hyperv() -> tuple[LogEntry, ...]:
    return mapread.read(HYPERV).maps[0].entries


def entry(number: int, start: int, end: int, kind: int = 7, attributes: int = 0xF) -> LogEntry:
    return LogEntry(number, EfiRegion(kind, Range(start, end), attributes), number + 1)


@pytest.mark.parametrize("memory", [GIB // 4, GIB, 2 * GIB, 4 * GIB, 8 * GIB])
def test_every_byte_is_accounted_for(memory: int) -> None:
    found = scale(hyperv(), memory)
    whole = sum(item.region.range.size_bytes for item in hyperv())
    assert sum(item.size for item in found.entries) + sum(item.size for item in found.lost) == whole
    told = " ".join([*(item.note for item in found.entries), *(item.why for item in found.lost)])
    assert all(f"mem{number:02}" in told for number in range(40))
    assert not overlap_mistake(found.entries)
    low, *high = ram(memory)
    for item in found.entries:
        assert item.at + item.size <= low[1] - FIRMWARE_ROOM_BYTES or (high and high[0][0] <= item.at)
        assert not high or item.at + item.size <= high[0][1]


def test_the_low_hole_of_2019_stays_where_it_was() -> None:
    found = scale(hyperv(), 2 * GIB)
    (hole,) = [item for item in found.entries if item.at == 0x62A000]
    assert (hole.size, hole.type, hole.note) == (0x4200000 - 0x62A000, RangeType.CONVENTIONAL, "mem05")
    (image,) = [item for item in found.entries if item.at <= 0x3C881000 < item.at + item.size]
    assert image.type is RangeType.LOADER_DATA
    runtime = [item.note for item in found.entries if item.type is RangeType.RUNTIME_SERVICES_CODE]
    assert runtime == ["mem32, was at 0xf7f9b000"]
    assert {item.why.partition(":")[0] for item in found.lost} == {"mem17", "mem18", "mem19", "mem38", "mem39"}


def test_a_larger_guest_has_all_but_what_no_pc_has() -> None:
    found = scale([entry(0, 0, 0xA0000), entry(1, 0x100000, 0x10000000), entry(2, 2**32, 2**32 + GIB)], 8 * GIB)
    assert not found.lost
    assert [item.note for item in found.entries] == ["mem00", "mem01", "mem02"]


def test_what_is_lost_has_its_reason() -> None:
    odd = [
        entry(0, 0xB0000000, 0xC0000000, 0, 1),
        entry(1, 0xFFC00000, 2**32, 11, 1),
        entry(2, 0x1000000, 0x2000000, 0x80000001),
        entry(3, 0x3000000, 0x4000000, 15),
        entry(4, 2**32 - 4096, 2**32 + 4096),
        entry(5, 0x8000000, 0x9000000, 7, 0x1000F),
    ]
    found = scale(odd, GIB)
    assert [(item.at, item.note) for item in found.entries] == [(0x8000000, "mem05, attributes were 0x1000f")]
    assert [item.why for item in found.lost] == [
        "mem02: type 0x80000001 cannot be made",
        "mem03: UnacceptedMemoryType cannot be made",
        "mem00: not RAM but devices of that machine",
        "mem01: not RAM but devices of that machine",
        "mem04: it crosses 4 GiB, where no PC has RAM in one piece",
    ]


def test_a_map_with_nothing_free_loses_its_top() -> None:
    found = scale([entry(0, 0x100000, GIB, 6), entry(1, GIB, 2 * GIB, 0)], GIB)
    assert [(item.at, item.at + item.size) for item in found.entries] == [(0x100000, GIB - FIRMWARE_ROOM_BYTES)]
    assert sum(item.size for item in found.lost) == GIB + FIRMWARE_ROOM_BYTES


def test_the_file_is_read_back_as_it_was_meant() -> None:
    found = scale(hyperv(), 2 * GIB, 'a "log", line 1')
    tree = yaml12.parse(to_yaml(found), "x.map").tree
    again = MapFile.model_validate_json(json.dumps(tree))
    assert again == found
