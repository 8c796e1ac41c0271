"""EFI memory maps out of logs: every form that kernels have printed, and logs that must be refused."""

from __future__ import annotations

import pytest
from goldens import TESTDATA
from support.recorded import read

from harness.evidence import klog
from harness.evidence.listings import mapread
from harness.evidence.listings.efilog import efi_maps
from harness.evidence.listings.entries import LogEntry, LogMap, MapKind, Remark
from harness.evidence.ranges import Range

HYPERV = (TESTDATA / "memmaps/hyperv-2019.txt").read_bytes()
OLD = "efi: mem00: type=7, attr=0xf, range=[0x0000000000001000-0x00000000000a0000) (0MB)"
V4 = "efi: mem00: [Conventional Memory|   |  |  |  |  |WB|WT|WC|UC] range=[0x0000000000001000-0x00000000000a0000) (0MB)"
COLUMNS = "   |  |CC|  |  |  |  |  |  |  |   |WB|WT|WC|UC"
V7 = f"efi: mem00: [Conventional|{COLUMNS}] range=[0x0000000000001000-0x000000000009ffff] (0MB)"


def maps(log: str | bytes) -> tuple[LogMap, ...]:
    found, damaged = efi_maps(klog.lines(log if isinstance(log, bytes) else log.encode()))
    assert not damaged
    return found


def damage(log: str) -> Remark:
    found, (damaged,) = efi_maps(klog.lines(log.encode()))
    assert not found
    return damaged


def the_map(log: str | bytes) -> tuple[LogEntry, ...]:
    (found,) = maps(log)
    assert not found.odd
    assert not found.remarks
    return found.entries


def test_the_report_of_2019_as_it_was_mailed() -> None:
    entries = the_map(HYPERV)
    assert [entry.number for entry in entries] == list(range(40))
    low = entries[5].region
    assert (low.type, low.range, low.attributes) == (7, Range(0x62A000, 0x4200000), 0xF)
    assert (entries[24].region.type, entries[24].region.attributes) == (6, 0x800000000000000F)
    assert (entries[39].region.range, entries[39].region.attributes, entries[39].line) == (
        Range(0xC0000, 0x100000),
        1,
        79,
    )


@pytest.mark.parametrize(
    ("line", "attributes"),
    [
        (OLD, 0xF),
        (V4, 0xF),
        (V7, 0x8000F),
        (f"[    0.000000] {V7}", 0x8000F),
        (f"Oct  3 10:11:12 host kernel: {OLD}", 0xF),
        (f"> > kernel: {OLD}", 0xF),
        (OLD.replace(" range", "\n> range"), 0xF),
        (V7.replace(" range", "\nrange"), 0x8000F),
        (OLD.replace(", attr", ",\nattr").replace(" range", "\nrange"), 0xF),
        (f"\x1b[0m{V7}\r", 0x8000F),
        (V7.replace("Conventional", "type=2147483649"), 0x8000F),
        (V7.replace(COLUMNS, "attr=0x0000040000000001"), 1 << 42 | 1),
    ],
)
def test_every_form(line: str, attributes: int) -> None:
    (entry,) = the_map(f"before\n{line}\nafter\n")
    assert entry.region.range == Range(0x1000, 0xA0000)
    assert entry.region.attributes == attributes
    assert entry.region.type == (2147483649 if "2147483649" in line else 7)


@pytest.mark.parametrize("run", ["fake-mem-small", "fake-mem-kept"])
def test_what_a_kernel_of_6_1_prints(run: str) -> None:
    found = maps(read(run, "console.log"))
    assert all(len(item.entries) > 5 for item in found)
    assert any(entry.region.attributes >> 18 & 1 for entry in found[0].entries), "EFI_MEMORY_SP of efi_fake_mem="


@pytest.mark.parametrize("version", ["5.10", "6.12", "7.3"])
def test_what_debian_s_kernels_print_with_efi_debug(version: str) -> None:
    """From runs of placement/made-map, whose map has every kind of entry; the second map is of after boot."""
    found = maps((TESTDATA / f"memmaps/efi-debug-{version}.txt").read_bytes())
    first, second = ({entry.region.range: entry.region for entry in item.entries} for item in found)
    assert len(first) > 130
    kinds = {0x1000000: 6, 0x8000000: 10, 0x18000000: 8, 0x30000000: 0, 0x100000: 3, 0x800000: 2}
    assert {start: region.type for where, region in first.items() if (start := where.start) in kinds} == kinds
    assert first[Range(0x1000000, 0x1010000)].attributes == 0x800000000000000F
    assert not [where for where in first if where.overlaps(Range(0x9000000, 0x9004000))], "the hole"
    assert first[Range(0xFFC00000, 0x100000000)].attributes == 0x8000000000000001
    assert set(second) < set(first) or len(second) < len(first)


def test_a_log_without_a_map_has_none() -> None:
    assert maps("Linux version 6.1.0\nefi: EFI v2.70 by EDK II\n") == ()


def test_a_second_kernel_prints_another_map() -> None:
    found = maps(f"{OLD}\n{OLD.replace('mem00', 'mem01')}\n{V7}\n")
    assert [len(item.entries) for item in found] == [2, 1]


@pytest.mark.parametrize(
    ("log", "line", "why"),
    [
        (OLD.replace("mem00", "mem01"), 1, "mem01 follows where mem00 is expected"),
        (f"{OLD}\n{OLD.replace('mem00', 'mem02')}", 2, "mem02 follows where mem01 is expected"),
        (OLD.partition(" range")[0], 1, "mem00 is not as it is printed"),
        (V7.replace("range=[0x", "range=[0y"), 1, "mem00 is not as it is printed"),
        (V7.replace("Conventional", "Marshmallow"), 1, "mem00 has a memory type or an attribute that is unknown"),
        (V7.replace("|CC|", "|ZZ|"), 1, "mem00 has a memory type or an attribute that is unknown"),
        (V7.replace("Conventional", "type=99999999999"), 1, "mem00 has a memory type or an attribute that is unknown"),
        (V7.replace(COLUMNS, "attr=0x1ffffffffffffffff"), 1, "mem00 has a memory type or an attribute"),
        (f"\n{OLD}\nefi: mem01:", 3, "mem01 is not as it is printed"),
    ],
)
def test_half_a_map_is_refused(log: str, line: int, why: str) -> None:
    found = damage(log)
    assert found.line == line
    assert found.text.startswith(why)


@pytest.mark.parametrize(
    ("start", "end", "bracket", "why"),
    [
        ("0000000000000000", "0000000000000000", ")", "it is empty"),
        ("0000000000001000", "0000000000001000", ")", "it is empty"),
        ("0000000000001000", "0000000000000fff", "]", "it is empty"),
        ("0000000000000000", "ffffffffffffffff", "]", "it is empty"),
        ("0000000000001000", "1ffffffffffffffff", ")", "over 64 bits"),
        ("0486200e41038c18", "200e898a0eee713ac17", "]", "over 64 bits"),
        ("fffffffffffff000", "0000000000001000", ")", "over 64 bits"),
    ],
)
def test_an_entry_that_is_no_memory_counts_and_is_told(start: str, end: str, bracket: str, why: str) -> None:
    log = f"{OLD}\nefi: mem01: type=3, attr=0x0, range=[0x{start}-0x{end}{bracket} (0MB)\n"
    log += (
        OLD.replace("mem00", "mem02").replace("0x0000000000001000-", "0x00000000000a0000-").replace("a0000)", "b0000)")
    )
    (found,) = maps(log)
    assert [entry.number for entry in found.entries] == [0, 2]
    (odd,) = found.odd
    assert (odd.number, odd.line, odd.type, odd.start) == (1, 2, 3, int(start, 16))
    assert why in odd.why


def test_the_last_byte_of_64_bits_is_memory() -> None:
    (entry,) = the_map("efi: mem00: type=11, attr=0x1, range=[0xffffffffff000000-0xffffffffffffffff] (16MB)")
    assert entry.region.range == Range(0xFFFFFFFFFF000000, 1 << 64)


def test_invalid_entries_in_front_are_a_remark() -> None:
    attributes, where = "attr=0x0e42100e42180e41", "range=[0x0486200e41038c18-0x200e898a0eee713ac17]"
    broken = f"efi: mem03: [type=269370880|{attributes}] {where} (invalid)"
    wrapped = (
        "efi: mem47: [Reserved           |   |  |  |  |\n|  ] range=[0x0000000000000000-0x0000000000000000]\n(invalid)"
    )
    head = "efi: [Firmware Bug]: Invalid EFI memory map entries:"
    (found,) = maps("\n".join((head, broken, wrapped, OLD, V7.replace("mem00", "mem01"))))
    assert [entry.number for entry in found.entries] == [0, 1]
    assert not found.odd
    assert [(remark.line, remark.text.split()[0]) for remark in found.remarks] == [(2, "mem03"), (3, "mem47")]


def test_a_line_cited_below_a_whole_map_does_not_spoil_it() -> None:
    found, damaged = efi_maps(
        klog.lines(f"{OLD}\n{V7.replace('mem00', 'mem01')}\nsee\n{V7.replace('mem00', 'mem01')}\n".encode())
    )
    assert [len(item.entries) for item in found] == [2]
    assert [remark.line for remark in damaged] in ([], [4])


def test_a_map_is_read_beside_a_damaged_one() -> None:
    whole = f"{OLD}\n{V7.replace('mem00', 'mem01')}\n"
    found, damaged = efi_maps(klog.lines(f"{OLD}\n{OLD.replace('mem00', 'mem05')}\n{whole}".encode()))
    assert [item.line for item in found] == [3]
    assert [remark.line for remark in damaged] == [2]


def test_a_map_that_two_consoles_print_is_one() -> None:
    twice = "\n".join(f"{line}\n{line}" for line in (OLD, V7.replace("mem00", "mem01"), OLD.replace("mem00", "mem02")))
    (found,) = maps(twice)
    assert [entry.number for entry in found.entries] == [0, 1, 2]
    assert [remark.line for remark in found.remarks] == [2, 4, 6]


def test_a_size_that_does_not_fit_is_told() -> None:
    (found,) = maps("efi: mem00: type=7, attr=0xf, range=[0x0000000000100000-0x0000000004200000) (59MB)")
    assert [remark.line for remark in found.remarks] == [1]
    assert "65MB" in found.remarks[0].text
    assert not maps("mem00: type=7, attr=0xf, range=[0x0000000000100000-0x0000000100100000) (   4GB)")[0].remarks


def test_the_memory_attributes_table_is_no_map() -> None:
    log = "efi: memattr: Processing EFI Memory Attributes table:\n"
    log += "efi: memattr:  0x0000bea6c000-0x0000bea70fff [Runtime Data|RUN|  |  |  |XP|  |  |  |   |  |  |  |  ]\n"
    assert mapread.read(log.encode()).maps == ()


def test_a_map_without_numbers_ends_where_the_next_begins() -> None:
    line = "efi:   0x000040000000-0x0000401fffff [Conventional|   |  |WB|WT|WC|UC]\n"
    other = line.replace("0x00004", "0x00005")
    assert [len(item.entries) for item in maps(line + other + line)] == [2, 1]
    header = "efi: Processing EFI memory map:\n"
    assert [len(item.entries) for item in maps(header + line + header + other + line)] == [1, 2]


def test_other_messages_between_entries() -> None:
    """With memblock=debug."""
    line = (
        "> > [    0.000000] efi:   0x0000{0}0000000-0x0000{0}01fffff [Reserved           |   |  |  |   |WB|  |  |  ]\n"
    )
    other = "> > [    0.000000] memblock_add: [0x0000000000000000-0x0000000000000fff] reserve_regions+0x164/0x178\n"
    head = "> > [    0.000000] efi: Processing EFI memory map:\n> > [    0.000000]  memory.cnt  = 0x1\n"
    entries = the_map(head + line.format(5) + other + line.format(4) + other)
    assert [(entry.region.range.start, entry.line) for entry in entries] == [(0x50000000, 3), (0x40000000, 5)]


def test_a_raw_mail_that_quotes_a_wrapped_one() -> None:
    log = (
        "> > efi: [Firmware Bug]: Invalid EFI memory map entries:\n"
        "> > efi: mem47: [Reserved           |   |  |  |  |  |  |  |  |   |  |  |=\n |\n"
        "> > |  ] range=3D[0x0000000000000000-0x0000000000000000] (invalid)\n"
        "> > efi: mem00: [Conventional Memory|   |  |  |  |  |  |  |   |WB|WT|W=\n"
        "C|UC] range=3D[0x0000000000000000-0x000000000009dfff] (0MB)\n"
    )
    (only,) = mapread.read(log.encode()).maps
    assert [(entry.region.range, entry.line) for entry in only.entries] == [(Range(0, 0x9E000), 5)]
    assert [remark.line for remark in only.remarks] == [2]


def test_arm64_before_4_0_prints_types_only() -> None:
    log = "Processing EFI memory map:\n  0x0008ffe8f000-0x0008ffe91fff [Loader Data]\n"
    log += "  0x0008fffb9000-0x0008fffccfff [Runtime Code]*\n  0x00000c000000-0x00000ffeffff [Memory Mapped I/O]\n"
    entries = the_map(log)
    assert [(entry.region.type, entry.region.range.start) for entry in entries] == [
        (2, 0x8FFE8F000),
        (5, 0x8FFFB9000),
        (11, 0xC000000),
    ]
    assert not any(entry.attributes_known for entry in entries)


@pytest.mark.parametrize(
    "torn",
    [
        "efi:   0x000050000000-0x0000501fffff [Conventional|   |",
        "0x000050000000-0x0000501fffff [Conventional|   |",
        "efi:   0x000050000000-0x0000501fffff [Convntional|   |  |WB|WT|WC|UC]",
    ],
)
def test_a_map_without_numbers_of_which_an_entry_is_torn(torn: str) -> None:
    line = "efi:   0x000040000000-0x0000401fffff [Conventional|   |  |WB|WT|WC|UC]"
    found = damage(f"{line}\n{torn}\n{line.replace('00004', '00006')}\n")
    assert found.line == 2


@pytest.mark.parametrize("other", ["efi:", "0x000050000000-0x0000501fffff [mem]", "mem00:", "see mem00: [1] and"])
def test_what_only_looks_like_an_entry(other: str) -> None:
    assert maps(f"{other}\nand so on\n") == ()


def test_efi_maps_come_first() -> None:
    log = f"BIOS-e820: [mem 0x0000000000000000-0x000000000009ffff] usable\n{OLD}\n"
    assert [item.kind for item in mapread.read(log.encode()).maps] == [MapKind.EFI, MapKind.E820]
