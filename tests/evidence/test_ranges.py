"""harness.evidence.ranges"""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.ranges import Range, align_down, align_up, merged

SMALL = st.builds(Range.sized, st.integers(0, 60), st.integers(0, 20))


def bytes_of(item: Range) -> set[int]:
    return set(range(item.start, item.end))


def test_printed_as_kernels_do():
    assert str(Range(0x3BFFF000, 0x3C000000)) == "0x3bfff000-0x3bffffff"
    assert str(Range(0x1000, 0x1000)) == "0x1000 (empty)"


@pytest.mark.parametrize(("start", "end"), [(-1, 4), (5, 4)])
def test_refuses_what_is_no_range(start: int, end: int):
    with pytest.raises(ValueError, match="not a range"):
        Range(start, end)


def test_touching_ranges_do_not_overlap():
    assert not Range(0, 8).overlaps(Range(8, 16))
    assert Range(0, 9).overlaps(Range(8, 16))


def test_pages():
    assert Range(0x3BFFF100, 0x3BFFF188).pages == Range(0x3BFFF000, 0x3C000000)
    assert Range(0xFFF, 0x1001).pages == Range(0, 0x2000)


@given(SMALL, SMALL)
def test_like_sets(one: Range, other: Range):
    common = bytes_of(one) & bytes_of(other)
    assert one.overlaps(other) == bool(common)
    crossing = one.intersection(other)
    assert (bytes_of(crossing) if crossing else set()) == common
    assert one.contains(other) == (bool(bytes_of(other)) and bytes_of(other) <= bytes_of(one))


@given(st.lists(SMALL, max_size=6))
def test_merged_has_the_same_bytes_in_fewest_pieces(items: list[Range]):
    result = merged(items)
    assert set().union(*map(bytes_of, result)) == set().union(*map(bytes_of, items))
    assert all(left.end < right.start for left, right in itertools.pairwise(result))


@given(st.integers(0, 2**52), st.integers(1, 2**30))
def test_alignment(value: int, alignment: int):
    assert align_down(value, alignment) <= value <= align_up(value, alignment)
    assert align_down(value, alignment) % alignment == 0 == align_up(value, alignment) % alignment
    assert align_up(value, alignment) - align_down(value, alignment) in (0, alignment)
