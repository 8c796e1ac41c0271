"""harness.evidence.faking.compare: every kind of difference is named, and nothing lawful is"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.faking import entries as fakemem
from harness.evidence.faking.compare import Kind, changed_since, compare, undone
from harness.evidence.faking.entries import FakeEntry
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.ranges import Range

from .fake_kernel import FIRMWARE, GIB, MIB, SP, before_5_6, entry, good, region
from .test_fakemem import ENTRIES, maps

TWO = (entry("256M@4608M:0x40000"), entry("256M@4864M:0x40000"))
MAP = list(fakemem.apply(FIRMWARE, TWO))
UPPER = next(n for n, item in enumerate(MAP) if item.range.start == 4 * GIB)


def kinds(printed: list[EfiRegion | None], entries: tuple[FakeEntry, ...] = TWO) -> list[Kind]:
    return [item.kind for item in compare(printed, FIRMWARE, entries)]


def changed(at: int, *instead: EfiRegion | None) -> list[EfiRegion | None]:
    return [*MAP[:at], *instead, *MAP[at + 1 :]]


def test_the_exact_map_has_no_difference() -> None:
    assert compare(MAP, FIRMWARE, TWO) == ()
    assert len(MAP) == len(FIRMWARE) + 2
    assert undone(MAP, FIRMWARE, TWO) == FIRMWARE


def test_what_the_stub_takes_and_gives_back_is_lawful_and_told() -> None:
    low = next(n for n, item in enumerate(MAP) if item.range.start == 21 * MIB)
    printed = changed(
        low, region(7, 21 * MIB, 22 * MIB), region(1, 22 * MIB, 40 * MIB), region(7, 40 * MIB, 1979 * MIB)
    )
    assert compare(printed, FIRMWARE, TWO) == ()
    assert changed_since(printed, FIRMWARE) == ((Range(22 * MIB, 40 * MIB), "ConventionalMemory became LoaderCode"),)


def test_the_last_entry_only_as_before_5_6() -> None:
    found = compare(before_5_6(FIRMWARE, TWO), FIRMWARE, TWO)
    assert found[0].kind is Kind.MISSING_ATTRIBUTE
    assert found[0].range == TWO[0].range
    assert found[0].text == "0x120000000-0x12fffffff lacks SP, which 256M@4608M:0x40000 must give it"
    assert {item.kind for item in found} >= {Kind.MISSING_ATTRIBUTE, Kind.DOUBLED}


@pytest.mark.parametrize(
    ("printed", "wanted"),
    [
        (changed(UPPER + 1, region(7, 4608 * MIB, 4864 * MIB)), [Kind.MISSING_ATTRIBUTE]),
        (changed(UPPER + 1, region(7, 4608 * MIB, 4864 * MIB, SP)), [Kind.MISSING_ATTRIBUTE]),
        (changed(UPPER, region(7, 4 * GIB, 4608 * MIB, 0xF | SP)), [Kind.EXTRA_ATTRIBUTE]),
        (changed(UPPER), [Kind.LOST]),
        (changed(UPPER, MAP[UPPER], MAP[UPPER]), [Kind.DOUBLED, Kind.WRONG_ORDER]),
        ([*MAP, None], [Kind.GARBAGE]),
        ([*MAP, region(7, 6 * GIB, 6 * GIB)], [Kind.GARBAGE]),
        ([*MAP, region(7, 6 * GIB, 7 * GIB)], [Kind.GARBAGE]),
        (changed(UPPER + 1, region(9, 4608 * MIB, 4864 * MIB, 0xF | SP)), [Kind.WRONG_TYPE]),
        (changed(2, region(7, 8 * MIB, 9 * MIB)), [Kind.WRONG_TYPE]),
        ([*MAP[: UPPER + 1], region(7, 4608 * MIB, 5 * GIB, 0xF | SP), *MAP[UPPER + 3 :]], [Kind.MISSING_SPLIT]),
        (changed(UPPER, region(7, 4 * GIB, 4100 * MIB), region(7, 4100 * MIB, 4608 * MIB)), [Kind.UNEXPECTED_SPLIT]),
        (
            [*MAP[: UPPER + 1], MAP[UPPER + 2], MAP[UPPER + 1], *MAP[UPPER + 3 :]],
            [Kind.WRONG_ORDER, Kind.WRONG_ORDER],
        ),
    ],
)  # fmt: skip
def test_each_kind_of_difference_is_named(printed: list[EfiRegion | None], wanted: list[Kind]) -> None:
    assert kinds(printed) == wanted


def test_an_entry_that_must_change_nothing() -> None:
    outside = (entry("4K@1T:0x8000"),)
    assert compare(FIRMWARE, FIRMWARE, outside) == ()


@given(maps(), ENTRIES)
def test_a_right_kernel_has_no_difference(regions: tuple[EfiRegion, ...], entries: list[FakeEntry]) -> None:
    assert compare(good(regions, entries), regions, entries) == ()


@given(st.lists(st.sampled_from(range(64)), min_size=2, max_size=6, unique=True))
def test_an_old_kernel_always_differs_when_two_entries_count(slots: list[int]) -> None:
    entries = [entry(f"8M@{4096 + 16 * slot + 4}M:0x40000") for slot in slots]
    found = compare(before_5_6(FIRMWARE, entries), FIRMWARE, entries)
    assert found
    assert found[0].kind is Kind.MISSING_ATTRIBUTE


def test_an_old_kernel_is_right_with_one_entry() -> None:
    assert compare(before_5_6(FIRMWARE, TWO[:1]), FIRMWARE, TWO[:1]) == ()
