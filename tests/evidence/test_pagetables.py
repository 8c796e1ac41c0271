from __future__ import annotations

import pytest
from support.made_pagetables import RW, Builder, P
from support.recorded_tables import KERNELS, recorded

from harness.evidence.defect import Defect
from harness.evidence.pagetable import pagetables
from harness.evidence.pagetable import walk as paging
from harness.evidence.pagetable.pagetables import CR4_LA57, EFI_WINDOW, Capture, decode, efi_ranges, encode, take
from harness.evidence.ranges import Range


@pytest.mark.parametrize("name", KERNELS)
def test_a_recorded_kernel_has_its_runtime_regions_twice(name: str) -> None:
    capture, _ = recorded(name)
    low, window = efi_ranges(la57=capture.la57)
    ones, high = capture.leaves([low]), capture.leaves([window])
    assert isinstance(ones, tuple)
    assert isinstance(high, tuple)
    assert all(leaf.start == leaf.physical for leaf in ones)
    # But for page 0 and the kernel's trampoline, which are mapped 1:1 only.
    assert {leaf.physical for leaf in high} < {leaf.physical for leaf in ones}
    assert {leaf.page_bytes for leaf in high} == {4096, 2**21}
    assert not any(leaf.global_ for leaf in (*ones, *high))
    assert not any(leaf.writable and not leaf.nx for leaf in (*ones, *high))
    assert any(not leaf.nx for leaf in high)


def test_the_recorded_kernels_have_four_and_five_levels() -> None:
    depths = {name: {len(leaf.entries) for leaf in leaves_of(recorded(name)[0])} for name in KERNELS}
    assert depths == {name: {4, 5} if "5level" in name else {3, 4} for name in KERNELS}


def leaves_of(capture: Capture) -> tuple[paging.Leaf, ...]:
    leaves = capture.leaves()
    assert isinstance(leaves, tuple)
    return leaves


def test_the_ranges_are_the_user_half_and_the_64_gib_below_minus_4_gib() -> None:
    low, window = efi_ranges(la57=False)
    assert (str(low), str(window)) == ("0x0-0x7fffffffffff", "0xffffffef00000000-0xfffffffeffffffff")
    assert efi_ranges(la57=True) == (Range(0, 2**56), EFI_WINDOW)


@pytest.mark.parametrize(("levels", "cr4"), [(4, 0), (5, CR4_LA57)])
def test_a_capture_holds_the_tables_of_efi_and_no_others(levels: int, cr4: int) -> None:
    tables = Builder(levels)
    own = {tables.cr3}
    for address in (0x3E00_0000, EFI_WINDOW.start, EFI_WINDOW.end - 4096):
        tables.map(address, 0x3E00_0000, P | RW)
    own |= set(tables.memory)
    tables.map(0xFFFF_8880_0000_0000, 0x1000, P | RW)
    tables.map(EFI_WINDOW.end, 0x2000, P | RW)
    capture = take(tables.read, tables.cr3, cr4)
    assert set(capture.pages) == own
    assert [leaf.start for leaf in leaves_of(capture)] == [0x3E00_0000, EFI_WINDOW.start, EFI_WINDOW.end - 4096]


def test_what_is_encoded_is_decoded() -> None:
    capture, _ = recorded(KERNELS[-1])
    assert decode(encode(capture)) == capture
    assert decode(encode(Capture(1, 2, {}))) == Capture(1, 2, {})


def test_a_table_that_cannot_be_read_stops_the_capture_and_its_walk_at_the_same_place() -> None:
    tables = Builder()
    where = tables.map(0x1000, 0x1000, P) & ~4095
    del tables.memory[where]
    capture = take(tables.read, tables.cr3, 0)
    assert where not in capture.pages
    assert str(capture.leaves()) == f"the table of PTEs at {where:#x} cannot be read"


def test_a_capture_of_tables_that_loop_is_bounded() -> None:
    tables = Builder()
    for index in range(512):
        tables.set(tables.cr3 + 8 * index, tables.cr3 | P)
    capture = take(tables.read, tables.cr3, 0)
    assert list(capture.pages) == [tables.cr3]
    assert isinstance(capture.leaves(), Defect)


def test_a_torn_or_strange_capture_is_refused() -> None:
    data = encode(Capture(0x1000, 0, {0x1000: bytes(4096), 0x2000: bytes(4096)}))
    for broken, text in (
        (data[:31], "31 bytes do not hold"),
        (b"X" + data[1:], "begin with"),
        (data[:-1], "do not hold 2 captured table pages"),
        (data + b"\0", "do not hold 2 captured table pages"),
        (data.replace(b"\x00\x20\0\0\0\0\0\0", b"\x00\x10\0\0\0\0\0\0"), "given twice"),
        (data.replace(b"\x00\x20\0\0\0\0\0\0", b"\x08\x20\0\0\0\0\0\0"), "whole pages"),
    ):
        refused = decode(broken)
        assert isinstance(refused, Defect)
        assert text in refused.text


def test_the_limit_on_tables_leaves_room_for_real_ones() -> None:
    assert all(len(recorded(name)[0].pages) * 50 < pagetables.MAX_TABLES for name in KERNELS)
