"""e820 tables and /proc/iomem as maps to ask for: whole pages, memory told from devices."""

from __future__ import annotations

from harness.evidence.listings import mapread
from harness.evidence.listings.entries import LogEntry
from harness.evidence.listings.mapimport import scale
from harness.evidence.listings.mappages import guessed, whole_pages
from harness.evidence.ranges import Range
from harness.model.words.memorymap import RangeType

GIB = 2**30
TABLE = """\
BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable
BIOS-e820: [mem 0x000000000009fc00-0x000000000009ffff] reserved
BIOS-e820: [mem 0x00000000000f0000-0x00000000000fffff] reserved
BIOS-e820: [mem 0x0000000000100000-0x000000002a541017] usable
BIOS-e820: [mem 0x000000002a541018-0x000000002a560a57] usable
BIOS-e820: [mem 0x000000002a560a58-0x0000000030000bff] usable
BIOS-e820: [mem 0x0000000030000c00-0x0000000030006bff] ACPI data
BIOS-e820: [mem 0x0000000030006c00-0x000000003000ffff] ACPI NVS
BIOS-e820: [mem 0x0000000030010000-0x00000000300103ff] ACPI data
BIOS-e820: [mem 0x0000000030010400-0x000000003001ffff] ACPI NVS
BIOS-e820: [mem 0x0000000030020000-0x000000003fffffff] reserved
BIOS-e820: [mem 0x00000000e0000000-0x00000000efffffff] reserved
BIOS-e820: [mem 0x00000000fee00000-0x00000000fee00fff] reserved
BIOS-e820: [mem 0x0000000100000000-0x000000013fffffff] usable
BIOS-e820: [mem 0x0000000140000000-0x0000000140ffffff] reserved
BIOS-e820: [mem 0x000000fd00000000-0x000000ffffffffff] reserved
"""


def entries(text: str) -> tuple[LogEntry, ...]:
    return mapread.read(text.encode()).maps[0].entries


def test_pages_that_two_entries_share() -> None:
    kept, dropped = whole_pages(entries(TABLE))
    assert not dropped
    assert [(entry.region.range.start, entry.region.range.end, entry.region.type) for entry in kept[:8]] == [
        (0, 0x9F000, 7),
        (0x9F000, 0xA0000, 0),
        (0xF0000, 0x100000, 0),
        (0x100000, 0x30000000, 7),
        (0x30000000, 0x30007000, 9),
        (0x30007000, 0x30010000, 10),
        (0x30010000, 0x30011000, 9),
        (0x30011000, 0x30020000, 10),
    ]


def test_an_entry_of_which_no_page_is_left() -> None:
    text = "BIOS-e820: [mem 0x0000000000000000-0x00000000000007ff] reserved\n"
    text += "BIOS-e820: [mem 0x0000000000000800-0x0000000000000fff] usable\n"
    kept, dropped = whole_pages(entries(text))
    assert [entry.region.range for entry in kept] == [Range(0, 0x1000)]
    assert [entry.region.range for entry in dropped] == [Range(0x800, 0x1000)]
    assert [item.why for item in scale(entries(text), GIB).lost] == [
        "mem01: no whole page of it is left by its neighbours"
    ]


def test_reserved_memory_is_told_from_devices_by_where_it_lies() -> None:
    kept = guessed(entries(TABLE))
    devices = [entry.region.range.start for entry in kept if entry.region.type == 0 and entry.region.attributes == 1]
    assert devices == [0xE0000000, 0xFEE00000, 0xFD00000000]


def test_what_an_efi_map_says_is_not_guessed() -> None:
    text = "efi: mem00: type=7, attr=0xf, range=[0x0000000000100000-0x0000000000200000) (1MB)\n"
    text += "efi: mem01: type=0, attr=0xf, range=[0x00000000e0000000-0x00000000e0001000) (0MB)\n"
    assert whole_pages(entries(text)) == (entries(text), ())


def test_a_table_is_imported() -> None:
    found = scale(entries(TABLE), 4 * GIB)
    assert found.entries[0].note == "mem00 System RAM (in whole pages)"
    assert found.entries[-2].note == "mem13 System RAM", "no comma: nothing was changed of it"
    kinds = {item.at: item.type for item in found.entries}
    assert kinds[0x30020000] is RangeType.RESERVED
    assert kinds[0x30007000] is RangeType.ACPI_NVS
    assert [item.at for item in found.lost] == [0xF0000, 0xE0000000, 0xFEE00000, 0xFD00000000]
    assert all(item.at % 4096 == 0 and item.size % 4096 == 0 for item in found.entries)
