"""harness.evidence.code.attribution"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.code.attribution import Source, attribute, pad_bytes, placed_bytes
from harness.evidence.maps.segments import Role, Segment
from harness.evidence.ranges import Range

TAG = b"ep02"
HEAD = bytes(range(1, 200)) * 9  # the cpio archive before the padding
PAD_BYTES = 0x8000
INITRD = HEAD + pad_bytes(TAG, 0, PAD_BYTES)
START = 0x3ADC5000
SEGMENT = Segment(2, len(INITRD), Range.sized(START, (len(INITRD) // 4096 + 1) * 4096), Role.INITRD)
TABLE = Range.sized(START + 0x5100, 136)


def read(offset: int, size: int) -> bytes:
    return INITRD[offset : offset + size]


def written(where: Range) -> bytes:
    offset = where.start - START
    return (INITRD + bytes(8192))[offset : offset + where.size_bytes]


def test_cells():
    assert pad_bytes(TAG, 0, 32) == b"HPADep02" + bytes(8) + b"HPADep02" + b"\x10" + bytes(7)
    with pytest.raises(ValueError, match="4 bytes"):
        pad_bytes(b"long tag", 0, 16)


@given(st.integers(0, 10_000), st.integers(0, 100), st.integers(0, 100))
def test_any_piece_of_the_padding(offset: int, skip: int, size: int):
    assert pad_bytes(TAG, offset, skip + size)[skip:] == pad_bytes(TAG, offset + skip, size)


def test_the_initrd_lies_over_the_table():
    found = attribute(written(TABLE), TABLE, SEGMENT, read)
    assert found is not None
    assert (found.source, found.where, found.complete, found.file_offset) == (Source.INITRD, TABLE, True, 0x5100)
    assert "all bytes at 0x3adca100-0x3adca187 are those of the initrd at offset 0x5100" in found.text
    assert "padding cell ep02 0x" in found.text


def test_the_table_itself_is_not_the_initrd():
    assert attribute(b"ESRT" * 34, TABLE, SEGMENT, read) is None


def test_another_runs_padding_is_not_this_initrd():
    other = HEAD + pad_bytes(b"ep09", 0, PAD_BYTES)
    offset = TABLE.start - START
    assert attribute(other[offset : offset + 136], TABLE, SEGMENT, read) is None


def test_a_part_written_again_later():
    sample = bytes(40) + written(TABLE)[40:]
    found = attribute(sample, TABLE, SEGMENT, read)
    assert found is not None
    assert not found.complete
    assert found.where.end == TABLE.end
    assert found.where.start <= TABLE.start + 40
    assert "of 136 bytes" in found.text


def test_a_shift_by_one_is_no_match():
    assert attribute(written(Range(TABLE.start + 1, TABLE.end + 1)), TABLE, SEGMENT, read) is None


def test_zeros_where_both_are_zero_say_nothing():
    zeros = Segment(2, 0x2000, Range.sized(START, 0x2000), Role.INITRD)
    table = Range.sized(START + 0x100, 136)
    assert attribute(bytes(136), table, zeros, lambda _offset, size: bytes(size)) is None


def test_the_zero_filled_end():
    kernel = Segment(1, 0x1000, Range.sized(START, 0x8000), Role.KERNEL)
    found = attribute(bytes(136), TABLE, kernel, read)
    assert found is not None
    assert (found.source, found.file_offset, found.where) == (Source.ZEROS, None, TABLE)
    assert "zero-filled end of segment[1] (kernel)" in found.text
    assert attribute(bytes(135) + b"\1", TABLE, kernel, read) is None


def test_a_kernels_own_bytes_cannot_be_recognised():
    kernel = Segment(1, 0x8000, Range.sized(START, 0x8000), Role.KERNEL)
    assert attribute(bytes(136), TABLE, kernel, read) is None


def test_a_table_that_sticks_out_of_the_segment():
    table = Range.sized(START - 64, 136)
    found = attribute(b"x" * 64 + INITRD[:72], table, SEGMENT, read)
    assert found is not None
    assert (found.where, found.file_offset) == (Range.sized(START, 72), 0)


def test_elsewhere_or_of_another_size():
    assert attribute(bytes(136), Range.sized(0x1000, 136), SEGMENT, read) is None
    assert attribute(written(TABLE)[:100], TABLE, SEGMENT, read) is None


def test_an_initrd_shorter_than_its_segment():
    assert attribute(written(TABLE), TABLE, SEGMENT, lambda _offset, _size: b"") is None


def test_what_a_segment_puts_somewhere():
    edge = Range(START + len(INITRD) - 8, START + len(INITRD) + 8)
    assert placed_bytes(edge, SEGMENT, read) == INITRD[-8:] + bytes(8)
    assert placed_bytes(Range(START - 1, START + 1), SEGMENT, read) is None
    # The number the next kernel printed as the ESRT's version is the initrd's second word there.
    version = placed_bytes(Range.sized(TABLE.start + 8, 8), SEGMENT, read)
    assert version == INITRD[0x5108:0x5110]
