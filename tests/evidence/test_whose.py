"""Whose code an address is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.evidence.code.symbols import symbol_table
from harness.evidence.code.whose import Atlas, Reader, relocate_range
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.maps.segments import Role, Segment
from harness.evidence.pagetable.virtual import View
from harness.evidence.ranges import Range
from harness.model.autopsy import Cpu, Owner, Place

from .autopsies import cpu
from .test_peimage import BASE, image, memory
from .test_virtual import CR3, Physical

TEXT = 0xFFFFFFFF81000000
SYMBOLS = symbol_table(
    [
        *((TEXT, "T", "_stext"), (TEXT + 0x100, "T", "relocate_kernel"), (TEXT + 0x200, "t", "swap_pages")),
        *((TEXT + 0x900, "T", "do_idle"), (TEXT + 0x2000, "T", "_etext"), (TEXT + 0x3000, "B", "_end")),
    ]
)
RELOCATE = bytes(range(256)) * 8
SEGMENTS = (
    Segment(0, 0x1000, Range(0x7000, 0x8000), Role.PURGATORY),
    Segment(1, 0x1000, Range(0x3A000000, 0x3B000000), Role.KERNEL),
)
EFI = (
    EfiRegion(3, Range(BASE, BASE + 0x8000), 0xF),
    EfiRegion(5, Range(BASE + 0x10000, BASE + 0x20000), 0xF),
    EfiRegion(7, Range(0, 0x1000000), 0xF),
)
ATLAS = Atlas(symbols=SYMBOLS, segments=SEGMENTS, efi_map=EFI)
UNPAGED = cpu(cr0=0x33)


NOTHING = memory()


def at(atlas: Atlas, address: int, of: Cpu = UNPAGED, read: Reader = NOTHING) -> Place:
    return atlas.place(address, of, View(read, 0, paged=False), read)


def test_kernel_by_symbol_mapped_or_not() -> None:
    found = at(ATLAS, TEXT + 0x910)
    assert (found.owner, found.name, found.offset) == (Owner.KERNEL, "do_idle", 0x10)


def test_kernel_and_modules_without_symbols() -> None:
    bare = replace(ATLAS, symbols=None)
    assert at(bare, TEXT).owner is Owner.KERNEL
    assert at(bare, 0xFFFFFFFFC0001000).owner is Owner.MODULE
    assert at(ATLAS, 0xFFFFFFFFC0001000).owner is Owner.MODULE


def test_not_mapped() -> None:
    physical = Physical()
    found = ATLAS.place(0x400000, cpu(cr3=CR3), View(physical.read, CR3), physical.read)
    assert found.owner is Owner.UNMAPPED
    assert "no present PML4E" in found.detail


def test_user_space() -> None:
    assert at(ATLAS, 0x400000, cpu(cpl=3)).owner is Owner.USER


def test_segments() -> None:
    found = at(ATLAS, 0x7123)
    assert (found.owner, found.name, found.offset) == (Owner.SEGMENT, "purgatory", 0x123)
    assert at(ATLAS, 0x3A000010).name == "kernel"
    assert at(ATLAS, 0x8000).owner is Owner.UNKNOWN


def test_the_kernels_image_before_it_runs() -> None:
    stub = replace(ATLAS, stub=Range(0x9000, 0xA000), boot_services=True, segments=())
    assert at(stub, 0x9010).owner is Owner.STUB
    assert at(replace(stub, boot_services=False), 0x9010).owner is Owner.UNKNOWN


def test_firmware_while_boot_services_run_and_after() -> None:
    read = memory((BASE, image()))
    before = at(replace(ATLAS, boot_services=True), BASE + 0x1500, read=read)
    assert (before.owner, before.name, before.offset) == (Owner.FIRMWARE, "DxeCore", 0x1500)
    # Boot services memory belongs to the kernel once it runs.
    assert at(ATLAS, BASE + 0x1500, read=read).owner is Owner.UNKNOWN


def test_runtime_services_always() -> None:
    found = at(ATLAS, BASE + 0x10010)
    assert (found.owner, found.name, found.offset) == (Owner.FIRMWARE, "", None)
    assert "RuntimeServicesCode" in found.detail
    named = replace(ATLAS, name_image=lambda image, _read: f"at-{image.range.start:x}")
    read = memory((BASE + 0x10000, image(b"")))
    assert at(named, BASE + 0x10010, read=read).name == f"at-{BASE + 0x10000:x}"


def test_before_there_is_a_map_and_in_flash() -> None:
    early = Atlas(boot_services=True)
    assert at(early, BASE + 0x1500, read=memory((BASE, image()))).name == "DxeCore"
    assert at(early, BASE).owner is Owner.UNKNOWN
    assert at(early, 0xFFFFFFF0).owner is Owner.FIRMWARE


@pytest.mark.parametrize("offset", [0, 0x172, 0x700])
def test_the_control_page_by_its_bytes(offset: int) -> None:
    # A code page at 0x5000, which is a copy of the kernel's relocate_kernel with something around it.
    unique = b"".join(index.to_bytes(4, "little") for index in range(512))
    atlas = replace(ATLAS, relocate=unique, relocate_address=TEXT + 0x100, relocate_symbols=SYMBOLS)
    found = at(atlas, 0x5000 + offset, read=memory((0x5000, unique)))
    located = SYMBOLS.find(TEXT + 0x100 + offset)
    assert located is not None
    assert (found.owner, found.name, found.offset) == (Owner.CONTROL, located.name, located.offset)


def test_no_control_page() -> None:
    atlas = replace(ATLAS, relocate=RELOCATE)
    same = memory((0x5000, RELOCATE))
    assert at(atlas, 0x5000, read=same).owner is Owner.UNKNOWN  # the bytes are there eight times
    assert at(atlas, 0x5000, cpu(cr0=0x33, bits=32), same).owner is Owner.UNKNOWN
    assert at(atlas, 0x5000).owner is Owner.UNKNOWN


def test_the_control_page_by_its_place_when_the_kernel_is_overwritten() -> None:
    found = at(
        replace(ATLAS, relocate_symbols=SYMBOLS, relocate_address=TEXT + 0x100), 0x5172, cpu(cr0=0x33, cr3=0x4000)
    )
    assert (found.owner, found.name, found.offset) == (Owner.CONTROL, "swap_pages", 0x72)
    assert "place" in found.detail
    assert at(replace(ATLAS, segments=()), 0x5172, cpu(cr0=0x33, cr3=0x4000)).owner is Owner.UNKNOWN
    assert at(ATLAS, 0x6172, cpu(cr0=0x33, cr3=0x4000)).owner is Owner.UNKNOWN


def test_where_kexecs_code_is() -> None:
    assert relocate_range(SYMBOLS) == Range.sized(TEXT + 0x100, 2048)
    assert relocate_range(symbol_table([(TEXT, "T", "_stext")])) is None
