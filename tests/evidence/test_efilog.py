"""EFI memory maps out of logs: every form that kernels have printed, and logs that must be refused."""

from __future__ import annotations

import pytest
from goldens import TESTDATA
from support.recorded import read

from harness.evidence.defect import Defect
from harness.evidence.maps.efilog import LogEntry, efi_maps
from harness.evidence.ranges import Range

HYPERV = (TESTDATA / "memmaps/hyperv-2019.txt").read_bytes()
OLD = "efi: mem00: type=7, attr=0xf, range=[0x0000000000001000-0x00000000000a0000) (0MB)"
V4 = "efi: mem00: [Conventional Memory|   |  |  |  |  |WB|WT|WC|UC] range=[0x0000000000001000-0x00000000000a0000) (0MB)"
COLUMNS = "   |  |CC|  |  |  |  |  |  |  |   |WB|WT|WC|UC"
V7 = f"efi: mem00: [Conventional|{COLUMNS}] range=[0x0000000000001000-0x000000000009ffff] (0MB)"


def the_map(log: str | bytes) -> tuple[LogEntry, ...]:
    found = efi_maps(log if isinstance(log, bytes) else log.encode())
    assert isinstance(found, tuple), found
    (entries,) = found
    return entries


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
    maps = efi_maps(read(run, "console.log"))
    assert isinstance(maps, tuple)
    assert all(len(entries) > 5 for entries in maps)
    assert any(entry.region.attributes >> 18 & 1 for entry in maps[0]), "EFI_MEMORY_SP, which efi_fake_mem= sets"


@pytest.mark.parametrize("version", ["5.10", "6.12", "7.3"])
def test_what_debian_s_kernels_print_with_efi_debug(version: str) -> None:
    """From runs of placement/made-map, whose map has every kind of entry; the second map is of after boot."""
    found = efi_maps((TESTDATA / f"memmaps/efi-debug-{version}.txt").read_bytes())
    assert isinstance(found, tuple)
    first, second = ({entry.region.range: entry.region for entry in entries} for entries in found)
    assert len(first) > 130
    kinds = {0x1000000: 6, 0x8000000: 10, 0x18000000: 8, 0x30000000: 0, 0x100000: 3, 0x800000: 2}
    assert {start: region.type for where, region in first.items() if (start := where.start) in kinds} == kinds
    assert first[Range(0x1000000, 0x1010000)].attributes == 0x800000000000000F
    assert not [where for where in first if where.overlaps(Range(0x9000000, 0x9004000))], "the hole"
    assert first[Range(0xFFC00000, 0x100000000)].attributes == 0x8000000000000001
    assert set(second) < set(first) or len(second) < len(first)


def test_a_log_without_a_map_has_none() -> None:
    assert efi_maps(b"Linux version 6.1.0\nefi: EFI v2.70 by EDK II\n") == ()


def test_a_second_kernel_prints_another_map() -> None:
    found = efi_maps(f"{OLD}\n{OLD.replace('mem00', 'mem01')}\n{V7}\n".encode())
    assert isinstance(found, tuple)
    assert [len(entries) for entries in found] == [2, 1]


@pytest.mark.parametrize(
    ("log", "why"),
    [
        (OLD.replace("mem00", "mem01"), "line 1: mem01 follows where mem00 is expected"),
        (f"{OLD}\n{OLD.replace('mem00', 'mem02')}", "line 2: mem02 follows where mem01 is expected"),
        (OLD.partition(" range")[0], "line 1: mem00 is not as a kernel prints it"),
        (V7.replace("range=[0x", "range=[0y"), "line 1: mem00 is not as a kernel prints it"),
        (V7.replace("Conventional", "Marshmallow"), "a memory type or an attribute that is unknown"),
        (V7.replace("|CC|", "|ZZ|"), "a memory type or an attribute that is unknown"),
        (V7.replace("Conventional", "type=99999999999"), "a memory type or an attribute that is unknown"),
        (OLD.replace("a0000)", "01000)"), "line 1: mem00 is no range of memory"),
        (OLD.replace("0x00000000000a0000)", "0x1ffffffffffffffff)"), "line 1: mem00 is no range of memory"),
    ],
)
def test_half_a_map_is_refused(log: str, why: str) -> None:
    found = efi_maps(log.encode())
    assert isinstance(found, Defect)
    assert why in found.text
