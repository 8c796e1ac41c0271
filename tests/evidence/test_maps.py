"""harness.evidence.maps.efimap, iomem, e820 and memmap"""

import struct

import pytest

from harness.evidence.defect import Defect
from harness.evidence.maps import e820, efimap, iomem, memmap
from harness.evidence.maps.e820 import MemmapEntry
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.ranges import Range

PAGE = Range(0x3BFFF000, 0x3C000000)

# The form of /proc/iomem; the addresses of a 1 GiB guest under Debian's OVMF 2022.11.
IOMEM = """00000000-00000fff : Reserved
00001000-0009ffff : System RAM
00100000-00805fff : System RAM
00806000-00807fff : ACPI Non-volatile Storage
00900000-3bffefff : System RAM
  01600000-02600a37 : Kernel code
  02800000-02fb6fff : Kernel rodata
3bfff000-3bffffff : Reserved
3c000000-3ea9ffff : System RAM
3eaa0000-3eba1fff : Reserved
b0000000-bfffffff : PCI MMCONFIG 0000 [bus 00-ff]
  b0000000-bfffffff : Reserved
    b0000000-b00fffff : pnp 00:01
fd00000000-ffffffffff : PCI Bus 0000:00
"""
MEMMAP = """0x3eaa0000-0x3eba1fff Reserved
0x0-0x9ffff System RAM
0x900000-0x3ea9ffff System RAM
0x3f6ec000-0x3f76bfff ACPI Non-volatile Storage
"""
RUNTIME_MAP = """1 type=0x5 phys_addr=0x3f5ec000 virt_addr=0xfffffffee0000 num_pages=0x100 attribute=0x800000000000000f
0 type=0x4 phys_addr=0x3bfff000 virt_addr=0xfffffffefefff000 num_pages=0x1 attribute=0x800000000000000f
"""


def descriptor(kind: int, start: int, pages: int, attributes: int = 0xF) -> bytes:
    return struct.pack("<IIQQQQ", kind, 0xDEAD, start, 0, pages, attributes)


def efi_map() -> tuple[EfiRegion, ...]:
    rows = (
        descriptor(7, 0x900000, 0x3B6FF),
        descriptor(4, 0x3BFFF000, 1),
        descriptor(6, 0x3EAA0000, 0x102, 0xF | 1 << 63),
    )
    regions = efimap.parse_descriptors(b"".join(row + b"8 bytes." for row in rows), 48)
    assert not isinstance(regions, Defect)
    return regions


def test_descriptors_are_read_by_stride():
    regions = efi_map()
    assert [region.type_name for region in regions] == ["ConventionalMemory", "BootServicesData", "RuntimeServicesData"]
    assert regions[1].range == PAGE
    assert (regions[1].runtime, regions[2].runtime) == (False, True)
    assert regions[2].attribute_names == ("UC", "WC", "WT", "WB", "RUNTIME")
    assert efimap.at(regions, PAGE) == regions[1:2]


@pytest.mark.parametrize(("data", "size"), [(bytes(96), 39), (bytes(97), 48), (bytes(40), 0)])
def test_descriptors_refused(data: bytes, size: int):
    assert isinstance(efimap.parse_descriptors(data, size), Defect)


def test_unknown_types_and_attributes_have_names_too():
    region = EfiRegion(0x70000001, PAGE, 1 << 42)
    assert (region.type_name, region.attribute_names) == ("type 0x70000001", ("bit 42",))


def test_runtime_map():
    regions = efimap.parse_runtime_map(RUNTIME_MAP)
    assert not isinstance(regions, Defect)
    assert regions is not None
    assert [(region.type_name, str(region.range)) for region in regions] == [
        ("BootServicesData", "0x3bfff000-0x3bffffff"),
        ("RuntimeServicesCode", "0x3f5ec000-0x3f6ebfff"),
    ]
    assert efimap.parse_runtime_map("absent\n") is None
    assert isinstance(efimap.parse_runtime_map(RUNTIME_MAP + "2 type=\n"), Defect)


def test_iomem():
    rows = iomem.parse_iomem(IOMEM)
    assert not isinstance(rows, Defect)
    assert iomem.system_ram(rows)[2:] == (Range(0x900000, 0x3BFFF000), Range(0x3C000000, 0x3EAA0000))
    assert [(row.name, row.depth) for row in iomem.at(rows, Range(0xB0000000, 0xB0000001))] == [
        ("PCI MMCONFIG 0000 [bus 00-ff]", 0),
        ("Reserved", 1),
        ("pnp 00:01", 2),
    ]
    assert rows[-1].range.end == 0x10000000000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("00000000-00000000 : Reserved\n  00000000-00000000 : System RAM\n", "CAP_SYS_ADMIN"),
        ("00000000-00000fff Reserved\n", "another form"),
        ("00001000-00000fff : Reserved\n", "another form"),
    ],
)
def test_iomem_refused(text: str, message: str):
    defect = iomem.parse_iomem(text)
    assert isinstance(defect, Defect)
    assert message in defect.text


def test_memmap_is_sorted_and_inclusive():
    entries = e820.parse_memmap(MEMMAP)
    assert not isinstance(entries, Defect)
    assert entries is not None
    assert entries[0] == MemmapEntry(Range(0, 0xA0000), "System RAM")
    assert entries[-1].type_name == "ACPI Non-volatile Storage"
    assert e820.parse_memmap("absent") is None


@pytest.mark.parametrize("text", ["", "0x0-0x9ffff\n", "0x0 0x9ffff System RAM\n", "0x10-0xf System RAM\n"])
def test_memmap_refused(text: str):
    assert isinstance(e820.parse_memmap(text), Defect)


def test_boot_params():
    data = bytearray(4096)
    data[0x1E8] = 3
    rows = ((0, 0xA0000, 1), (0x806000, 0x2000, 4), (0x40000000, 0x1000, 0xEFFFFFFF))
    data[0x2D0 : 0x2D0 + 60] = b"".join(struct.pack("<QQI", *row) for row in rows)
    assert e820.parse_boot_params(bytes(data)) == (
        MemmapEntry(Range(0, 0xA0000), "System RAM"),
        MemmapEntry(Range(0x806000, 0x808000), "ACPI Non-volatile Storage"),
        MemmapEntry(Range(0x40000000, 0x40001000), "Soft Reserved"),
    )
    for count in (0, 129):
        data[0x1E8] = count
        assert isinstance(e820.parse_boot_params(bytes(data)), Defect)
    assert isinstance(e820.parse_boot_params(bytes(1000)), Defect)


def view(iomem_text: str = IOMEM, memmap_text: str = MEMMAP, where: Range = PAGE) -> memmap.ThreeWay:
    rows, entries, regions = (
        iomem.parse_iomem(iomem_text),
        e820.parse_memmap(memmap_text),
        efimap.parse_runtime_map(RUNTIME_MAP),
    )
    assert not isinstance(rows, Defect)
    assert entries is not None
    assert not isinstance(entries, Defect)
    assert regions is not None
    assert not isinstance(regions, Defect)
    return memmap.view(where, efi=efi_map(), iomem=rows, firmware_memmap=entries, runtime_map=regions)


def test_the_reservation_that_only_one_system_call_sees():
    seen = view()
    assert (seen.iomem, seen.firmware_memmap) == (("Reserved",), ("System RAM",))
    assert str(seen) == (
        "0x3bfff000-0x3bffffff: EFI map: BootServicesData; /proc/iomem: Reserved; "
        "/sys/firmware/memmap: System RAM; runtime-map: BootServicesData"
    )


def test_without_the_reservation_both_may_overwrite():
    text = IOMEM.replace("3bfff000-3bffffff : Reserved\n", "").replace("3bffefff", "3bffffff")
    assert view(text).iomem == ("System RAM",)


def test_runtime_data_is_safe_from_both():
    seen = view(where=Range(0x3EAA0000, 0x3EAA1000))
    assert "System RAM" not in {*seen.iomem, *seen.firmware_memmap}
    assert "runtime-map: not listed" in str(seen)


def test_only_the_top_level_of_iomem_counts():
    assert view(where=Range(0x1600000, 0x1601000)).iomem == ("System RAM",)
    rows = iomem.parse_iomem("100000000-1ffffffff : Soft Reserved\n  100000000-1ffffffff : System RAM\n")
    assert not isinstance(rows, Defect)
    assert iomem.system_ram(rows) == ()


def test_a_range_across_a_border_has_both_names():
    seen = view(where=Range(0x3BFFE000, 0x3C000000))
    assert seen.iomem == ("System RAM", "Reserved")
