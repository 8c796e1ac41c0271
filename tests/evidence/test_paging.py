from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_pagetables import NX, PS, RW, US, Builder, G, P

from harness.evidence.defect import Defect
from harness.evidence.pagetable import walk as paging
from harness.evidence.pagetable.walk import Leaf, Translation, merge, page_bytes, translate, walk
from harness.evidence.ranges import Range

EFI_VA = 0xFFFF_FFEF_0000_0000


def leaves_of(tables: Builder, **options: object) -> tuple[Leaf, ...]:
    found = walk(tables.read, tables.cr3, la57=tables.levels == 5, **options)  # type: ignore[arg-type]
    assert isinstance(found, tuple), found
    return found


def found_at(tables: Builder, address: int) -> Translation:
    found = translate(tables.read, tables.cr3, address, la57=tables.levels == 5)
    assert isinstance(found, Translation), found
    return found


def refused_at(tables: Builder, address: int, **options: bool | int) -> str:
    found = translate(tables.read, tables.cr3, address, la57=tables.levels == 5, **options)  # type: ignore[arg-type]
    assert isinstance(found, Defect), found
    return found.text


@pytest.mark.parametrize("levels", [4, 5])
@pytest.mark.parametrize(("level", "offset"), [(1, 0xABC), (2, 0x1FFABC), (3, 0x3FFFFABC)])
def test_each_page_size_leads_to_its_bytes(levels: int, level: int, offset: int) -> None:
    tables = Builder(levels)
    tables.map(EFI_VA, 0x8000_0000, P | RW, level=level)
    found = found_at(tables, EFI_VA + offset)
    assert (found.physical, found.page_bytes) == (0x8000_0000 + offset, page_bytes(level))
    assert len(found.leaf.entries) == levels + 1 - level


def test_five_levels_tell_addresses_apart_that_four_do_not() -> None:
    tables = Builder(5)
    tables.map(0x00FF_0000_0000_0000, 0x1000, P)
    tables.map(0xFF00_0000_0000_0000, 0x2000, P)
    assert [(leaf.start, leaf.physical) for leaf in leaves_of(tables)] == [
        (0x00FF_0000_0000_0000, 0x1000),
        (0xFF00_0000_0000_0000, 0x2000),
    ]
    assert "not canonical with 4 levels" in str(translate(tables.read, tables.cr3, 0x00FF_0000_0000_0000))


@pytest.mark.parametrize(("levels", "address"), [(4, 1 << 47), (4, (1 << 64) - (1 << 48)), (5, 1 << 56)])
def test_an_address_that_is_not_canonical_is_refused(levels: int, address: int) -> None:
    tables = Builder(levels)
    tables.map(address, 0x5000, P)
    assert "not canonical" in refused_at(tables, address)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_an_entry_that_is_not_present_ends_it(level: int) -> None:
    tables = Builder()
    where = tables.map(0x4000_0000, 0x4000_0000, P | RW, level=level)
    tables.set(where, tables.get(where) & ~P)
    table = where & ~4095
    assert refused_at(tables, 0x4000_0000).endswith(f"in the table at {table:#x}")
    assert leaves_of(tables) == ()


def test_rights_are_those_of_all_levels() -> None:
    tables = Builder()
    tables.map(0x1000, 0x1000, P | RW | US | G)
    tables.map(1 << 39, 0x2000, P | RW | US, upper=P)
    tables.map(2 << 39, 0x3000, P | RW | US, upper=P | RW | US | NX | G)
    open_, closed, data = leaves_of(tables)
    assert (open_.writable, open_.user, open_.nx, open_.global_) == (True, True, False, True)
    assert (closed.writable, closed.user, closed.nx, closed.global_) == (False, False, False, False)
    # G in an upper entry means nothing, NX there holds for all below.
    assert (data.writable, data.user, data.nx, data.global_) == (True, True, True, False)


@pytest.mark.parametrize(
    ("level", "flags", "pat"),
    [(1, 0, 0), (1, paging.PWT, 1), (1, paging.PCD, 2), (1, PS, 4), (2, 1 << 12, 4), (2, 1 << 12 | paging.PWT, 5)],
)
def test_the_pat_index_of_small_and_large_pages(level: int, flags: int, pat: int) -> None:
    tables = Builder()
    tables.map(0x4000_0000, 0x8000_0000, P | flags, level=level)
    found = found_at(tables, 0x4000_0000)
    assert (found.leaf.pat, found.physical) == (pat, 0x8000_0000)


def test_reserved_bits_stop_an_access_and_are_reported() -> None:
    tables = Builder()
    tables.map(0x4000_0000, 0x4000_0000, P | 1 << 13, level=2)  # an address bit inside a 2 MiB page
    tables.map(0x8000_0000, 0x8000_0000, P | 1 << 29, level=3)
    tables.map(0xC000_0000, 1 << 40, P)
    assert [leaf.reserved for leaf in leaves_of(tables)] == [1 << 13, 1 << 29, 0]
    assert [leaf.reserved for leaf in leaves_of(tables, physical_bits=40)] == [1 << 13, 1 << 29, 1 << 40]
    assert "has reserved bits 0x2000" in refused_at(tables, 0x4000_0000)
    assert "has reserved bits 0x20000000" in refused_at(tables, 0x8000_0000)
    assert found_at(tables, 0xC000_0000).physical == 1 << 40
    assert "has reserved bits 0x10000000000" in refused_at(tables, 0xC000_0000, physical_bits=40)


def test_nx_is_a_reserved_bit_without_efer_nxe() -> None:
    tables = Builder()
    tables.map(0x1000, 0x1000, P | NX)
    assert found_at(tables, 0x1000).leaf.nx
    assert "PTE 0x8000000000001001" in refused_at(tables, 0x1000, nxe=False)
    assert [leaf.reserved for leaf in leaves_of(tables, nxe=False)] == [NX]


@pytest.mark.parametrize("levels", [4, 5])
def test_a_large_page_in_a_top_level_is_reserved_and_not_followed(levels: int) -> None:
    tables = Builder(levels)
    tables.map(0, 0x1000, P)
    where = tables.slot(tables.cr3, 0, levels)
    tables.set(where, tables.get(where) | PS)
    (leaf,) = leaves_of(tables)
    assert (leaf.level, leaf.reserved, leaf.start) == (levels, PS, 0)
    assert "reserved bits 0x80" in refused_at(tables, 0x123)


def test_a_self_reference_is_a_mapping_of_the_tables_themselves() -> None:
    tables = Builder()
    tables.map(0x1000, 0xABC000, P | RW)
    tables.set(tables.slot(tables.cr3, 511 << 39, 4), tables.cr3 | P | RW)
    top = paging.Rules().canonical(511 << 39 | 511 << 30 | 511 << 21 | 511 << 12)
    assert found_at(tables, top + 8).physical == tables.cr3 + 8
    # The page, its table through each level of the loop: 0xabc000, PT, PD, PDPT, PML4.
    assert {leaf.physical for leaf in leaves_of(tables)} == {0xABC000, *tables.memory}


def test_tables_that_loop_everywhere_end_at_a_limit() -> None:
    tables = Builder()
    for index in range(512):
        tables.set(tables.cr3 + 8 * index, tables.cr3 | P)
    assert "map more than 1000 pages" in str(walk(tables.read, tables.cr3, max_leaves=1000))
    assert "more than 50 tables" in str(walk(tables.read, tables.cr3, max_tables=50))
    assert str(walk(tables.read, tables.cr3, max_tables=50, max_leaves=10**6)).endswith("a loop in them")


def test_a_limit_that_is_just_enough_is_not_in_the_way() -> None:
    tables = Builder()
    tables.map(0x1000, 0x1000, P)
    tables.map(0x2000, 0x2000, P)
    assert len(leaves_of(tables, max_leaves=2, max_tables=4)) == 2
    assert isinstance(walk(tables.read, tables.cr3, max_leaves=1), Defect)
    assert isinstance(walk(tables.read, tables.cr3, max_tables=3), Defect)


def test_a_table_that_cannot_be_read_is_named() -> None:
    tables = Builder()
    where = tables.map(0x20_0000, 0x1000, P)
    del tables.memory[where & ~4095]
    text = f"the table of PTEs at {where & ~4095:#x} cannot be read"
    assert str(walk(tables.read, tables.cr3)) == text
    assert refused_at(tables, 0x20_0000) == text


def test_every_table_is_read_once_and_whole() -> None:
    tables = Builder()
    for page in range(64):
        tables.map(0x1000 * page, 0x1000 * page, P)
    tables.set(tables.cr3 + 8, tables.get(tables.cr3))  # the same tables again, 512 GiB higher
    reads: list[tuple[int, int]] = []

    def read(address: int, size_bytes: int) -> bytes:
        reads.append((address, size_bytes))
        return tables.read(address, size_bytes)

    found = walk(read, tables.cr3)
    assert isinstance(found, tuple)
    assert len(found) == 128
    assert sorted(reads) == sorted((address, 4096) for address in tables.memory)


def test_cr3_is_taken_with_its_flags() -> None:
    tables = Builder()
    tables.map(0x1000, 0x7000, P)
    assert str(translate(tables.read, tables.cr3 | 1 << 63 | 0xFFF, 0x1234)) == str(found_at(tables, 0x1234))


def test_only_what_shares_a_byte_with_the_ranges_comes() -> None:
    tables = Builder()
    for page in range(1, 9):
        tables.map(0x1000 * page, 0x1000 * page, P)
    tables.map(EFI_VA, 0x4000_0000, P, level=2)
    wanted = [Range(0x2800, 0x4001), Range(EFI_VA + 5, EFI_VA + 6)]
    assert [leaf.start for leaf in leaves_of(tables, ranges=wanted)] == [0x2000, 0x3000, 0x4000, EFI_VA]
    assert leaves_of(tables, ranges=[]) == ()


def test_pages_are_joined_only_where_all_is_the_same() -> None:
    tables = Builder()
    for page, (physical, flags) in enumerate(
        [(0x1000, P), (0x2000, P), (0x3000, P | NX), (0x4000, P | NX | G), (0x9000, P | NX | G), (0xA000, P | NX | G)]
    ):
        tables.map(0x1000 * (page + 1), physical, flags)
    tables.map(0x20_0000, 0x20_0000, P, level=2)
    assert [(run.range.start, len(run.leaves)) for run in merge(leaves_of(tables))] == [
        (0x1000, 2),
        (0x3000, 1),
        (0x4000, 1),
        (0x5000, 2),
        (0x20_0000, 1),
    ]
    assert str(merge(leaves_of(tables))[3]) == "0x5000-0x6fff -> 0x9000 ro NX GLB, 2 x 4 KiB"


_PAGES = st.dictionaries(
    st.tuples(st.integers(1, 3), st.integers(0, 2**57 - 1)).map(lambda item: (item[0], item[1] & -page_bytes(item[0]))),
    st.tuples(st.integers(0, 2**52 - 1), st.sets(st.sampled_from([RW, US, G, NX, paging.PWT, paging.DIRTY]))),
    max_size=12,
)


@given(levels=st.sampled_from([4, 5]), pages=_PAGES)
def test_what_was_written_is_what_is_walked(levels: int, pages: dict[tuple[int, int], tuple[int, set[int]]]) -> None:
    tables = Builder(levels)
    rules = paging.Rules(la57=levels == 5)
    expected: dict[int, tuple[int, int, bool, bool, bool, bool]] = {}
    taken: list[Range] = []
    for (level, start), (anything, flags) in pages.items():
        virtual = rules.canonical(start)
        where = Range.sized(virtual, page_bytes(level))
        if any(where.overlaps(other) for other in taken):
            continue
        taken.append(where)
        physical = anything & -page_bytes(level)
        tables.map(virtual, physical, sum(flags) | P, level=level)
        expected[virtual] = (level, physical, RW in flags, US in flags, NX in flags, G in flags)
    seen = {
        leaf.start: (leaf.level, leaf.physical, leaf.writable, leaf.user, leaf.nx, leaf.global_)
        for leaf in leaves_of(tables)
    }
    assert seen == expected
    assert list(seen) == sorted(seen)
    for virtual, (level, physical, *_rest) in expected.items():
        last = page_bytes(level) - 1
        assert found_at(tables, virtual + last).physical == physical + last


@given(st.integers(0, 2**32), st.integers(0, 2**64 - 1))
def test_any_bytes_are_walked_without_an_error(seed: int, address: int) -> None:
    def read(where: int, size_bytes: int) -> bytes:
        return hashlib.shake_128(f"{seed} {where}".encode()).digest(size_bytes)

    assert isinstance(walk(read, 0, max_leaves=100, max_tables=8), tuple | Defect)
    assert isinstance(translate(read, 0, address), Translation | Defect)
