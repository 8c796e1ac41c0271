"""Memory kept as digests of its pages."""

from __future__ import annotations

import pytest

from harness.evidence import groundtruth
from harness.evidence.defect import Defect
from harness.evidence.groundtruth import Digests, Pair, digests_of
from harness.evidence.ranges import PAGE_BYTES, Range

ONE, TWO, ZERO = b"1" * PAGE_BYTES, b"2" * PAGE_BYTES, bytes(PAGE_BYTES)
RANGES = (Range(0x1000, 0x3000), Range(0x10000, 0x11000))


def known() -> Digests:
    found = digests_of(RANGES, groundtruth.digests(ONE + ZERO + TWO))
    assert isinstance(found, Digests)
    return found


def test_each_page_is_found_by_its_number() -> None:
    found = known()
    assert found.pages == 3
    assert found.at(1) == groundtruth.digest(ONE)
    assert found.at(0x10) == groundtruth.digest(TWO)
    assert [found.at(pfn) for pfn in (0, 3, 0x11)] == [None, None, None]
    assert (found.is_zero(2), found.is_zero(1), found.zero_pages()) == (True, False, 1)


def test_one_bit_makes_another_digest() -> None:
    assert groundtruth.digest(ONE) != groundtruth.digest(b"0" + ONE[1:])
    assert groundtruth.digest(ZERO[:-1] + b"\1") != groundtruth.digest(ZERO)


@pytest.mark.parametrize(
    ("ranges", "data", "word"),
    [
        (RANGES, b"\0" * 16, "16 bytes of digests for 3 pages"),
        ((Range(0x1000, 0x1800),), b"", "no whole pages"),
        (RANGES[::-1], b"\0" * 24, "not in order"),
    ],
)
def test_what_does_not_fit_is_a_defect(ranges: tuple[Range, ...], data: bytes, word: str) -> None:
    found = digests_of(ranges, data)
    assert isinstance(found, Defect)
    assert word in found.text


def test_pairs_come_back_and_a_cut_one_is_left_out() -> None:
    both = [Pair(1, ONE, TWO), Pair(0x10, TWO, ZERO)]
    data = b"".join(map(groundtruth.pack, both))
    assert list(groundtruth.pairs(data)) == both
    assert list(groundtruth.pairs(data[:-1])) == both[:1]
