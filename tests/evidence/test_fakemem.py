"""harness.evidence.faking.entries: the parameter, and the model of the map"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.defect import Defect
from harness.evidence.faking import entries as fakemem
from harness.evidence.faking.entries import FakeEntry
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.ranges import Range, merged

from .fake_kernel import FIRMWARE, GIB, MIB, SP, entry, good, region

PAGE = 4096


def parsed(value: str) -> tuple[FakeEntry, ...] | Defect:
    return fakemem.parse_cmdline(f"quiet efi_fake_mem={value} panic=0")


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("4G@9G:0x40000", [(9 * GIB, 13 * GIB, 0x40000)]),
        ("4G@9G:0x40000,4G@13G:262144", [(9 * GIB, 13 * GIB, 0x40000), (13 * GIB, 17 * GIB, 0x40000)]),
        ("0x1000@0X2000:010", [(0x2000, 0x3000, 8)]),
        ("4k@1m:0", [(MIB, MIB + PAGE, 0)]),
        ("010K@4096:1", [(4096, 4096 + 8192, 1)]),  # octal
        ("1T@1P:0x8000000000000000", [(1 << 50, (1 << 50) + (1 << 40), 1 << 63)]),
        ("4K@4K:1,", [(PAGE, 2 * PAGE, 1)]),
        ("4K@4K:18446744073709551617", [(PAGE, 2 * PAGE, 1)]),  # 64 bits
        ("4K@0xfffffffffffff000:1", [((1 << 64) - PAGE, 1 << 64, 1)]),
        ("4K@4K:1,4K@4K:2", [(PAGE, 2 * PAGE, 1), (PAGE, 2 * PAGE, 2)]),
        ("", []),
    ],
)
def test_the_parameter_as_the_kernel_reads_it(value: str, wanted: list[tuple[int, int, int]]) -> None:
    assert parsed(value) == tuple(FakeEntry(Range(start, end), bits) for start, end, bits in wanted)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("4G", "no '@'"),
        ("4G@9G", "no ':'"),
        ("4GB@9G:1", "no '@'"),
        ("4G@9G:1;4G@13G:1", "no '@'"),
        ("0@9G:1", "is empty"),
        ("0x@9G:1", "no '@'"),
        ("08@9G:1", "no '@'"),
        ("1000@9G:1", "not whole 4 KiB pages"),
        ("4K@1:1", "not whole 4 KiB pages"),
        ("8K@0xfffffffffffff000:1", "beyond 2^64"),
    ],
)
def test_what_the_kernel_refuses_or_makes_a_mess_of(value: str, part: str) -> None:
    found = parsed(value)
    assert isinstance(found, Defect)
    assert part in found.text


def test_several_parameters_add_up_and_what_is_behind_two_dashes_is_for_init() -> None:
    line = "efi_fake_mem=4K@4K:1 efi-fake-mem=4K@8K:2 efi_fake_memory=x -- efi_fake_mem=4K@16K:4"
    assert fakemem.parse_cmdline(line) == (entry("4K@4K:1"), entry("4K@8K:2"))
    assert fakemem.parse_cmdline("quiet") == ()


def test_two_entries_that_touch_make_one_descriptor_each() -> None:
    ram = [region(7, 4 * GIB, 17 * GIB)]
    assert fakemem.apply(ram, (entry("4G@9G:0x40000"), entry("4G@13G:0x40000"))) == (
        region(7, 4 * GIB, 9 * GIB),
        region(7, 9 * GIB, 13 * GIB, 0xF | SP),
        region(7, 13 * GIB, 17 * GIB, 0xF | SP),
    )


def test_an_entry_over_several_descriptors_marks_each_and_leaves_a_hole_alone() -> None:
    found = fakemem.apply(FIRMWARE[1:4], [entry("100M@4M:0x8000")])
    assert [(item.type, item.range.start // MIB, item.attributes) for item in found] == [
        (7, 1, 0xF),
        (7, 4, 0x800F),
        (10, 8, 0x800F),
        (4, 9, 0x800F),
    ]


def test_soft_reserved_is_conventional_memory_of_sp_entries_only() -> None:
    entries = (entry("8M@1980M:0x40000"), entry("1M@1990M:0x8000"), entry("4K@4G:0x48000"))
    assert fakemem.soft_reserved(FIRMWARE, entries) == (
        Range(1985 * MIB, 1988 * MIB),
        Range(4 * GIB, 4 * GIB + PAGE),
    )


# Any map in order with holes, any entries with overlaps.

PAGES = st.integers(0, 400)
SIZES = st.integers(1, 60)
BITS = st.sampled_from([0, 0x40000, 0x8000, 0x4000, 0x48000])


@st.composite
def maps(draw: st.DrawFn) -> tuple[EfiRegion, ...]:
    regions, at = [], 0
    for gap, size, kind in draw(
        st.lists(st.tuples(st.integers(0, 3), SIZES, st.sampled_from([0, 4, 6, 7])), max_size=8)
    ):
        start = at + gap
        at = start + size
        regions.append(EfiRegion(kind, Range(start * PAGE, at * PAGE), 0xF))
    return tuple(draw(st.permutations(regions)))


ENTRIES = st.lists(
    st.builds(lambda start, size, bits: FakeEntry(Range.sized(start * PAGE, size * PAGE), bits), PAGES, SIZES, BITS),
    max_size=8,
)


@given(maps(), ENTRIES)
def test_coverage_is_preserved_without_overlap(regions: tuple[EfiRegion, ...], entries: list[FakeEntry]) -> None:
    found = fakemem.apply(regions, entries)
    assert merged(item.range for item in found) == merged(item.range for item in regions)
    assert sum(item.range.size_bytes for item in found) == sum(item.range.size_bytes for item in regions)


@given(maps(), ENTRIES)
def test_every_page_has_exactly_its_own_and_the_entries_attributes(
    regions: tuple[EfiRegion, ...], entries: list[FakeEntry]
) -> None:
    for item in fakemem.apply(regions, entries):
        for address in range(item.range.start, item.range.end, PAGE):
            wanted = next(old for old in regions if old.range.contains(address))
            bits = wanted.attributes
            for one in entries:
                bits |= one.attributes if one.range.contains(address) else 0
            assert (item.type, item.attributes) == (wanted.type, bits)


@given(maps(), ENTRIES, st.randoms(use_true_random=False))
def test_the_order_of_the_entries_does_not_matter(
    regions: tuple[EfiRegion, ...], entries: list[FakeEntry], rng: st.random_module
) -> None:
    other = list(entries)
    rng.shuffle(other)  # type: ignore[attr-defined]
    assert fakemem.apply(regions, entries) == fakemem.apply(regions, other)


@given(maps(), ENTRIES)
def test_the_map_grows_by_its_inner_borders(regions: tuple[EfiRegion, ...], entries: list[FakeEntry]) -> None:
    cuts = fakemem.borders(entries)
    gained = sum(region.range.start < cut < region.range.end for region in regions for cut in cuts)
    assert len(fakemem.apply(regions, entries)) == len(regions) + gained


@given(maps(), ENTRIES)
def test_the_model_is_what_comes_of_one_entry_after_the_other(
    regions: tuple[EfiRegion, ...], entries: list[FakeEntry]
) -> None:
    """As the kernel does it, and written a second time."""
    assert list(fakemem.apply(regions, entries)) == good(regions, entries)


@given(ENTRIES)
def test_what_is_written_is_read_again(entries: list[FakeEntry]) -> None:
    assert fakemem.parse_cmdline(fakemem.cmdline_parameter(entries)) == tuple(entries)
