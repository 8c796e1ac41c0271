"""harness.evidence.tables.canary"""

import struct

from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.ranges import Range
from harness.evidence.tables.canary import canary_bytes, damaged

SEED = 0x0123456789ABCDEF
PAGE = 0x3BFFF000
TABLE = Range.sized(PAGE + 0x100, 136)


def page() -> bytearray:
    data = bytearray(canary_bytes(SEED, PAGE, 4096))
    data[0x100 : 0x100 + 136] = b"T" * 136
    return data


def test_words_are_seed_xor_address():
    assert struct.unpack("<2Q", canary_bytes(SEED, PAGE, 16)) == (SEED ^ PAGE, SEED ^ (PAGE + 8))


@given(st.integers(0, 2**48), st.integers(0, 64), st.integers(0, 64))
def test_any_piece_is_a_piece_of_the_whole(address: int, skip: int, size: int):
    assert canary_bytes(SEED, address, skip + size)[skip:] == canary_bytes(SEED, address + skip, size)


def test_intact():
    assert damaged(bytes(page()), PAGE, SEED, TABLE) == ()


def test_the_table_itself_may_change():
    data = page()
    data[0x100 : 0x100 + 136] = bytes(136)
    assert damaged(bytes(data), PAGE, SEED, TABLE) == ()


@given(st.integers(0, 4095).filter(lambda offset: not TABLE.contains(PAGE + offset)), st.integers(1, 255))
def test_any_flipped_canary_byte_is_found(offset: int, flip: int):
    data = page()
    data[offset] ^= flip
    assert damaged(bytes(data), PAGE, SEED, TABLE) == (Range.sized(PAGE + offset, 1),)


def test_zeroed_page_gives_a_run_on_each_side_of_the_table():
    runs = damaged(bytes(4096), PAGE, SEED, TABLE)
    assert [run.start >= TABLE.end for run in runs] == [False, True]
    assert runs[0] == Range(PAGE, TABLE.start)
    assert runs[1].end == PAGE + 4096


def test_a_page_moved_elsewhere_is_damaged():
    assert damaged(canary_bytes(SEED, PAGE + 0x1000, 4096), PAGE, SEED, TABLE)


def test_one_equal_byte_does_not_end_a_run():
    data = page()
    for offset in (0x800, 0x801, 0x803):
        data[offset] ^= 0xFF
    data[0x900] ^= 0xFF
    assert damaged(bytes(data), PAGE, SEED, TABLE) == (
        Range(PAGE + 0x800, PAGE + 0x804),
        Range.sized(PAGE + 0x900, 1),
    )
