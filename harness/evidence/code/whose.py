"""Whose code is at an address: the kernel's, firmware's, a kexec segment's, the kexec control page's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.evidence.code import peimage
from harness.evidence.code.peimage import PeImage
from harness.evidence.code.symbols import KERNEL_START, SymbolTable
from harness.evidence.defect import Defect
from harness.evidence.maps import efimap
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.maps.segments import Segment
from harness.evidence.pagetable.virtual import View
from harness.evidence.ranges import PAGE_BYTES, Range, align_down
from harness.model.autopsy import Cpu, Owner, Place

Reader = Callable[[int, int], bytes]

KERNEL_TEXT = Range(KERNEL_START, 0xFFFFFFFF_C0000000)
MODULES = Range(0xFFFFFFFF_C0000000, 0xFFFFFFFF_FF000000)
"""Documentation/arch/x86/x86_64/mm.rst; the same with four and with five levels."""
FLASH = Range(0xFFC00000, 0x1_0000_0000)
"""Where q35 maps the firmware's flash; SEC and PEI run there."""
CONTROL_CODE_BYTES = 2048
"""KEXEC_CONTROL_CODE_MAX_SIZE, arch/x86/include/asm/kexec.h; relocate_kernel and what it calls fit in it."""
_RELOCATE_SYMBOLS = ("__relocate_kernel_start", "relocate_kernel")
"""The first since 6.14 (data is in front of the code); the second is there before, and begins the copied code."""
_WINDOW = 24
_BOOT_TYPES = frozenset({1, 2, 3, 4})
_RUNTIME_TYPES = frozenset({5, 6})


@dataclass(frozen=True)
class Atlas:
    """What is known of a machine's memory at the moment it is looked at."""

    symbols: SymbolTable | None = None
    """Of the kernel that runs."""
    segments: Sequence[Segment] = ()
    """Of the kexec by which the epoch was entered."""
    efi_map: Sequence[EfiRegion] = ()
    """As firmware handed it over."""
    boot_services: bool = False
    """Firmware may still be running boot services code: no kernel has said a word yet."""
    stub: Range | None = None
    """Where firmware has loaded the kernel's image."""
    relocate: bytes = b""
    """The bytes that kexec copies into its control page, from the kernel that jumps; empty when not known."""
    relocate_address: int = 0
    """Where in that kernel they are."""
    relocate_symbols: SymbolTable | None = None
    """Of that kernel."""
    name_image: Callable[[PeImage, Reader], str] = lambda image, _read: image.name
    """The name of a firmware image; empty when there is none."""

    def place(self, address: int, cpu: Cpu, view: View, read: Reader) -> Place:
        """What is at a virtual address, as ``cpu`` sees it through ``view``; ``read`` gives physical memory."""
        found = view.physical(address)
        physical = None if isinstance(found, Defect) else found
        by_symbol = self._kernel(address, physical)
        if by_symbol is not None:
            return by_symbol
        if physical is None:
            detail = found.text if isinstance(found, Defect) else ""
            return Place(address=address, owner=Owner.UNMAPPED, detail=detail)
        if cpu.cpl == 3 and address < 1 << 63:
            return Place(address=address, owner=Owner.USER, physical=physical)
        return self._physical(address, physical, cpu, read)

    def _kernel(self, address: int, physical: int | None) -> Place | None:
        located = self.symbols.find(address) if self.symbols is not None else None
        if located is not None:
            return Place(
                address=address, owner=Owner.KERNEL, name=located.name, offset=located.offset, physical=physical
            )
        if physical is not None and KERNEL_TEXT.contains(address):
            return Place(address=address, owner=Owner.KERNEL, physical=physical)
        if physical is not None and MODULES.contains(address):
            return Place(address=address, owner=Owner.MODULE, physical=physical)
        return None

    def _physical(self, address: int, physical: int, cpu: Cpu, read: Reader) -> Place:
        control = self.control(address, physical, cpu, read)
        if control is not None:
            return control
        for segment in self.segments:
            if segment.range.contains(physical):
                offset = physical - segment.range.start
                return _place((address, physical), Owner.SEGMENT, segment.role.value, offset, str(segment))
        if self.stub is not None and self.boot_services and self.stub.contains(physical):
            return _place((address, physical), Owner.STUB, "", physical - self.stub.start, f"loaded at {self.stub}")
        return self._firmware(address, physical, read) or _place((address, physical), Owner.UNKNOWN)

    def control(self, address: int, physical: int, cpu: Cpu, read: Reader) -> Place | None:
        """The kexec control page: code that runs where virtual and physical address are the same, and that is a copy
        of the kernel's relocate_kernel. When that kernel is overwritten already, the page behind the page table in use
        (machine_kexec() before 6.14: the control page's first 4 KiB are the table, the second the code).
        """
        if address != physical or cpu.bits != 64:
            return None
        offset, detail = _copied(self.relocate, read(physical, _WINDOW)), ""
        if offset is None:
            page = align_down(physical, PAGE_BYTES)
            if not self.segments or page != align_down(cpu.cr3, PAGE_BYTES) + PAGE_BYTES:
                return None
            offset, detail = physical - page, "told by its place behind the page table"
        symbols = self.relocate_symbols
        located = symbols.find(self.relocate_address + offset) if symbols is not None else None
        name, inside = (located.name, located.offset) if located is not None else ("relocate_kernel", offset)
        return _place((address, physical), Owner.CONTROL, name, inside, detail)

    def _firmware(self, address: int, physical: int, read: Reader) -> Place | None:
        if FLASH.contains(physical):
            return _place((address, physical), Owner.FIRMWARE, "", None, "firmware volume, in flash")
        region = next(iter(efimap.at(self.efi_map, Range.sized(physical, 1))), None)
        types = _RUNTIME_TYPES | (_BOOT_TYPES if self.boot_services else frozenset())
        before_map = self.boot_services and not self.efi_map  # the EFI agent has not given it yet
        if not before_map and (region is None or region.type not in types):
            return None
        image = peimage.containing(read, physical)
        detail = region.type_name if region is not None else ""
        if isinstance(image, PeImage):
            name = self.name_image(image, read) or f"at {image.range.start:#x}"
            text = f"{detail}, image {image.range}" if detail else f"image {image.range}"
            return _place((address, physical), Owner.FIRMWARE, name, physical - image.range.start, text)
        return _place((address, physical), Owner.FIRMWARE, "", None, detail) if region is not None else None


def relocate_range(symbols: SymbolTable) -> Range | None:
    """Where a kernel keeps the code that kexec copies into its control page; None when it has none."""
    for name in _RELOCATE_SYMBOLS:
        start = symbols.address(name)
        if start is not None:
            return Range.sized(start, CONTROL_CODE_BYTES)
    return None


def _copied(original: bytes, window: bytes) -> int | None:
    """Where in ``original`` the bytes are, when that is one place; None otherwise."""
    if len(window) < _WINDOW or original.count(window) != 1:
        return None
    return original.find(window)


def _place(at: tuple[int, int], owner: Owner, name: str = "", offset: int | None = None, detail: str = "") -> Place:
    """``at``: virtual and physical address."""
    return Place(address=at[0], owner=owner, name=name, offset=offset, physical=at[1], detail=detail)
