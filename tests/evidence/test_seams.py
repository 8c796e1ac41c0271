"""harness.evidence.pagetable.cpulist and setupdata, and what e820 and ranges have for the seams between kernels"""

from __future__ import annotations

import struct

import pytest

from harness.evidence.defect import Defect
from harness.evidence.maps import e820, setupdata
from harness.evidence.maps.setupdata import Piece
from harness.evidence.pagetable import cpulist
from harness.evidence.ranges import Range, without

PROCESSORS = "online=0-1,3\nflags\t\t: fpu vme la57\n"


def boot_params(*rows: tuple[int, int, int], setup_data: int = 0) -> bytes:
    data = bytearray(4096)
    data[0x1E8] = len(rows)
    struct.pack_into("<Q", data, 0x250, setup_data)
    for number, row in enumerate(rows):
        struct.pack_into("<QQI", data, 0x2D0 + 20 * number, *row)
    return bytes(data)


def test_the_processors() -> None:
    assert cpulist.online(PROCESSORS) == (0, 1, 3)
    assert cpulist.online("online=0\n") == (0,)
    assert cpulist.flags(PROCESSORS) == {"fpu", "vme", "la57"}


@pytest.mark.parametrize("text", ["", "online=\n", "online=0-\n", "online=a\n", "flags\t: \n"])
def test_no_processors(text: str) -> None:
    assert isinstance(cpulist.online(text), Defect)
    assert isinstance(cpulist.flags(text), Defect)


def test_setup_data_in_the_order_of_the_list() -> None:
    text = "10 0x4 96\n2 0x3 65584\n"
    assert setupdata.pieces(text) == (Piece(3, 65584), Piece(4, 96))
    assert Piece(3, 65584).rom_bytes == 65536
    assert setupdata.first_rom(boot_params(setup_data=0x1018), text) == Range(0x1018, 0x1018 + 16 + 65584)


@pytest.mark.parametrize(
    ("text", "address", "words"),
    [
        ("", 0x1000, "no setup_data"),
        ("0 0x4 96\n", 0x1000, "type 4"),
        ("0 0x3 96\n", 0, "type 3"),
        ("0 0x3\n", 0x1000, "another form"),
    ],
)
def test_no_rom(text: str, address: int, words: str) -> None:
    found = setupdata.first_rom(boot_params(setup_data=address), text)
    assert isinstance(found, Defect)
    assert words in str(found)


def test_setup_data_in_an_e820_table_is_told_from_ram() -> None:
    data = boot_params((0, 0x1000, 1), (0x1000, 0x30, 128), (0x1030, 0xFD0, 1))
    assert e820.setup_data(data) == (Range(0x1000, 0x1030),)
    rows = e820.parse_boot_params(data)
    assert not isinstance(rows, Defect)
    assert {row.type_name for row in rows} == {"System RAM"}
    assert e820.setup_data(b"") == ()


@pytest.mark.parametrize(
    ("ranges", "others", "left"),
    [
        ([(0, 10)], [], [(0, 10)]),
        ([(0, 10)], [(3, 4), (6, 7)], [(0, 3), (4, 6), (7, 10)]),
        ([(0, 10)], [(0, 3), (9, 20)], [(3, 9)]),
        ([(0, 5), (5, 10)], [(0, 10)], []),
        ([(0, 5), (8, 10)], [(4, 9)], [(0, 4), (9, 10)]),
    ],
)
def test_without(ranges: list[tuple[int, int]], others: list[tuple[int, int]], left: list[tuple[int, int]]) -> None:
    found = without([Range(*item) for item in ranges], [Range(*item) for item in others])
    assert found == tuple(Range(*item) for item in left)
