from __future__ import annotations

import re

import pytest
from support.made_pagetables import RW, US, Builder, P
from support.recorded_tables import KERNELS, recorded

from harness.evidence.defect import Defect
from harness.evidence.pagetable.pagetables import EFI_WINDOW, efi_ranges
from harness.evidence.pagetable.ptdump import Dump, compare, parse
from harness.evidence.pagetable.walk import ADDRESS_SPACE, GLOBAL, NX, PCD, PWT, Leaf, walk
from harness.evidence.ranges import Range

ESPFIX = """\
---[ User Space ]---
0x0000000000000000-0xffffff0000000000    16777215T                               pgd
---[ ESPfix Area ]---
0xffffff0000000000-0xffffff0000001000           4K     ro                 GLB NX pte
... 65436 entries skipped ...\x20
---[ EFI Runtime Services ]---
0xffffffef00000000-0x0000000000000000          68G                               pud
"""


def dump_of(text: str) -> Dump:
    dump = parse(text)
    assert isinstance(dump, Dump), dump
    return dump


def leaves_of(name: str) -> tuple[Leaf, ...]:
    leaves = recorded(name)[0].leaves()
    assert isinstance(leaves, tuple)
    return leaves


@pytest.mark.parametrize("name", KERNELS)
def test_the_view_from_outside_is_the_kernels_own(name: str) -> None:
    capture, text = recorded(name)
    compared = compare(leaves_of(name), dump_of(text), capture.ranges)
    assert compared.differences == ()
    assert (compared.pages, compared.unseen) == (1815, 0)
    assert compared.rows > 270


def test_a_dump_is_read_whole() -> None:
    text = recorded(KERNELS[2])[1]
    dump = dump_of(text)
    assert len(dump.rows) == sum(line.startswith("0x") for line in text.splitlines())
    assert (dump.rows[0].range.start, dump.rows[-1].range.end) == (0, 2**64)
    assert dump.skipped == ()
    row = dump.at(0xFF11_0000_0000_0123)
    assert row is not None
    assert (row.level, set(row.flags), row.area) == (1, {"RW", "GLB", "NX"}, "Low Kernel Mapping")
    assert text.splitlines()[row.line - 1].startswith("0xff11000000000000-")


@pytest.mark.parametrize(
    ("flags", "level", "expected"),
    [
        ("    RW                     NX pte", 1, "RW NX"),
        ("USR ro PWT PCD     PAT GLB x  pte", 1, "USR ro PWT PCD PAT GLB x"),
        ("    RW         PSE     GLB NX pmd", 2, "RW PSE GLB NX"),
        ("    RW         PSE         x  pud", 3, "RW PSE x"),
        ("                              p4d", 4, ""),
    ],
)
def test_flags_and_levels(flags: str, level: int, expected: str) -> None:
    text = f"---[ User Space ]---\n0x0000000000000000-0x0000000000000000   16777216T {flags}\n"
    # 2**64 bytes do not fit the kernel's counter: a dump with one row only does not exist.
    assert "another form" in str(parse(text.replace("16777216T", "0B")))
    (row,) = dump_of(text).rows
    assert (row.level, set(row.flags), row.present) == (level, set(expected.split()), bool(expected))


def test_rows_that_the_kernel_leaves_out_are_known() -> None:
    dump = dump_of(ESPFIX)
    assert dump.skipped == (Range(0xFFFF_FF00_0000_1000, EFI_WINDOW.start),)
    tables = Builder()
    tables.map(0xFFFF_FF00_0000_0000, 0x1000, P | GLOBAL | NX)
    tables.map(0xFFFF_FF00_0001_0000, 0x1000, P | GLOBAL | NX)
    leaves = walk(tables.read, tables.cr3)
    assert isinstance(leaves, tuple)
    compared = compare(leaves, dump, [ADDRESS_SPACE])
    assert (compared.pages, compared.unseen, compared.differences) == (2, 1, ())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("         68G", "         67G", "another form"),
        ("GLB NX pte", "GLB NX ptx", "another form"),
        ("GLB NX pte", "XXX NX pte", "another form"),
        ("0xffffff0000001000           4K", "0xffffff0000002000           8K", ""),
        ("0xffffffef00000000-0x0000000000000000          68G", "", "another form"),
        ("... 65436 entries skipped ...\x20\n", "", "begins at 0xffffffef00000000, not at 0xffffff0000001000"),
        ("0x0000000000000000-0xffffff0000000000    16777215T", "0x1000-", "another form"),
    ],
)
def test_a_dump_of_another_form_is_refused(old: str, new: str, said: str) -> None:
    assert old in ESPFIX
    result = parse(ESPFIX.replace(old, new, 1))
    assert isinstance(result, Defect) == bool(said)
    assert said in str(result)


def test_a_dump_that_was_cut_is_refused() -> None:
    text = recorded(KERNELS[0])[1]
    lines = text.splitlines(keepends=True)
    for count in (0, 1, 5, 200, len(lines) - 1):
        assert "not at the top of the address space" in str(parse("".join(lines[:count])))
    assert "another form" in str(parse(text[: len(text) // 2]))
    assert "begins at" in str(parse("".join(lines[:10] + lines[11:])))
    assert "begins at" in str(parse("".join(lines[:10] + lines[9:])))


def entries_at(name: str) -> tuple[Leaf, int]:
    """A leaf in the EFI window whose neighbours are as it is, and the number of its row."""
    dump = dump_of(recorded(name)[1])
    row = max(
        (row for row in dump.rows if row.present and EFI_WINDOW.contains(row.range)),
        key=lambda r: r.range.size_bytes if r.level == 1 else 0,
    )
    leaf = next(leaf for leaf in leaves_of(name) if leaf.start == row.range.start + 4096)
    return leaf, row.line


@pytest.mark.parametrize("bit", [RW, US, PWT, PCD, 1 << 7, GLOBAL, NX])
@pytest.mark.parametrize("name", KERNELS)
def test_one_bit_of_one_entry_is_a_difference(name: str, bit: int) -> None:
    capture, text = recorded(name)
    leaf, line = entries_at(name)
    changed = [
        Leaf(item.start, item.level, (*item.entries[:-1], item.entry ^ bit), item.tables) if item == leaf else item
        for item in leaves_of(name)
    ]
    (difference,) = compare(changed, dump_of(text), capture.ranges).differences
    assert difference.range == leaf.range
    assert f"in line {line}" in difference.dumped


def test_bits_that_no_row_shows_are_no_difference() -> None:
    capture, text = recorded(KERNELS[0])
    leaf, _ = entries_at(KERNELS[0])
    accessed_dirty = 1 << 5 | 1 << 6
    changed = [
        Leaf(item.start, item.level, (*item.entries[:-1], item.entry ^ accessed_dirty), item.tables)
        for item in leaves_of(KERNELS[0])
    ]
    assert leaf.entry ^ accessed_dirty in {item.entry for item in changed}
    assert compare(changed, dump_of(text), capture.ranges).differences == ()


def test_a_page_too_few_and_a_page_too_many_are_differences() -> None:
    capture, text = recorded(KERNELS[2])
    leaf, line = entries_at(KERNELS[2])
    leaves = leaves_of(KERNELS[2])
    (fewer,) = compare([item for item in leaves if item != leaf], dump_of(text), capture.ranges).differences
    assert fewer.range.contains(leaf.range)
    assert fewer.walked.endswith("KiB mapped")
    assert f"line {line}" in fewer.dumped
    lonely = Leaf(EFI_WINDOW.start, 1, leaf.entries, leaf.tables)
    (more,) = compare([*leaves, lonely], dump_of(text), capture.ranges).differences
    assert more.range == lonely.range
    assert more.dumped.startswith("not present (pud)")


def test_a_page_of_another_size_is_a_difference() -> None:
    capture, text = recorded(KERNELS[2])
    large = next(leaf for leaf in leaves_of(KERNELS[2]) if leaf.level == 2)
    pieces = [
        Leaf(large.start + 4096 * index, 1, (*large.entries, large.entry & ~(1 << 7)), large.tables)
        for index in range(512)
    ]
    others = [leaf for leaf in leaves_of(KERNELS[2]) if leaf != large]
    found = compare([*others, *pieces], dump_of(text), capture.ranges).differences
    assert len(found) == 512
    assert all("(pte)" in item.walked and "(pmd)" in item.dumped for item in found)


def test_what_lies_outside_the_ranges_is_not_compared() -> None:
    capture, text = recorded(KERNELS[0])
    low, window = efi_ranges(la57=capture.la57)
    spoiled = re.sub(r"(?m)^(0x00000000000.* RW .*)NX (pte)$", r"\1x  \2", text)
    assert compare(leaves_of(KERNELS[0]), dump_of(spoiled), [window]).differences == ()
    assert compare(leaves_of(KERNELS[0]), dump_of(spoiled), [low]).differences != ()


def test_the_bit_of_a_large_page_that_the_kernel_masks_is_not_compared() -> None:
    capture, text = recorded(KERNELS[0])
    changed = [
        Leaf(item.start, item.level, (*item.entries[:-1], item.entry | 1 << 12), item.tables)
        if item.level == 2
        else item
        for item in leaves_of(KERNELS[0])
    ]
    assert {item.pat for item in changed} != {item.pat for item in leaves_of(KERNELS[0])}
    assert compare(changed, dump_of(text), capture.ranges).differences == ()
