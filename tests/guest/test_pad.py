from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.guest import pad

TAG = b"t\x00\xffg"


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 2**20 - 1, 2**20, 2**20 + 24, 3 * 2**20 + 5])
def test_every_unit_says_where_it_is(size: int) -> None:
    data = b"".join(pad.chunks(TAG, size))
    expected = b"".join(b"HPAD" + TAG + struct.pack("<Q", offset) for offset in range(0, size, 16))
    assert data == expected[:size]


WHOLE = b"".join(pad.chunks(TAG, 2**16))


@given(st.integers(0, 2**16 - 47))
def test_47_bytes_from_anywhere_are_enough_to_find_the_place(offset: int) -> None:
    assert pad.locate(WHOLE[offset : offset + 47]) == (TAG, offset)


@given(st.binary(max_size=64))
def test_other_bytes_are_not_padding(data: bytes) -> None:
    assert pad.locate(data) is None


def test_units_that_do_not_follow_each_other_are_not_padding() -> None:
    assert pad.locate(WHOLE[:16] + WHOLE[32:48]) is None
    assert pad.locate(WHOLE[:16] + b"HPADxxxx" + WHOLE[24:32]) is None
