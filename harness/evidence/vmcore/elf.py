"""ELF64 core files: a copy of /proc/vmcore, ``makedumpfile -E``, QEMU's dump-guest-memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from harness.evidence.ranges import PAGE_BYTES, Range, align_down, align_up, merged
from harness.evidence.vmcore.notes import MAX_NOTES_BYTES
from harness.evidence.vmcore.source import (
    Extent,
    ExtentMap,
    FileDefect,
    Source,
    damaged,
    incomplete,
    truncated,
    unsupported,
)

SIGNATURE = b"\x7fELF"
MAX_SEGMENTS = 1 << 20
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION_INFO_AT = 44
_IDENT = b"\x7fELF\x02\x01\x01"  # 64 bit, little endian, version 1
_ET_CORE, _EM_X86_64, _PT_LOAD, _PT_NOTE, _PN_XNUM = 4, 62, 1, 4, 0xFFFF
_DUMP_ELF_INCOMPLETE = 1
"""makedumpfile sets it in e_flags when the disk is full (diskdump's INCOMPLETE in an ELF dump)."""
_MAX_PHYSICAL = 1 << 52


@dataclass(frozen=True)
class Segment:
    """A PT_LOAD. ``held_bytes`` of ``size_bytes`` are in the file; the rest was left out."""

    physical: int
    virtual: int
    offset: int
    held_bytes: int
    size_bytes: int


class ElfCore:
    """The pages of an ELF core."""

    def __init__(
        self, source: Source, segments: tuple[Segment, ...], notes: bytes, end: int, defects: tuple[FileDefect, ...]
    ) -> None:
        self.segments = segments
        self.notes = notes
        self.defects = defects
        self.end_bytes = end
        self.vmcoreinfo_text: bytes | None = None
        self.ranges = merged(Range.sized(item.physical, item.size_bytes) for item in segments)
        self._source = source
        self._held = ExtentMap(
            Extent(Range.sized(item.physical, item.held_bytes), item.offset) for item in segments if item.held_bytes
        )
        self._partly = merged(extent.range for extent in self._held)

    def has(self, pfn: int) -> bool:
        """Is every byte of a page in the file?"""
        return self._at(pfn) is not None

    def page(self, pfn: int) -> bytes | FileDefect | None:
        """A page's bytes; None when it, or a part of it, was left out."""
        place = self._at(pfn)
        if place is None:
            return None
        data = self._held.read(self._source, pfn * PAGE_BYTES, PAGE_BYTES)
        return truncated(place, f"the file ends before page {pfn:#x} does") if data is None else data

    def read(self, address: int, size: int) -> bytes | None:
        """Physical memory, not only whole pages; None when a byte of it was left out."""
        return self._held.read(self._source, address, size)

    def held(self) -> Iterator[Range]:
        """The pages that are in the file whole, as ranges of page numbers."""
        for item in self._partly:
            first, end = align_up(item.start, PAGE_BYTES), align_down(item.end, PAGE_BYTES)
            if first < end:
                yield Range(first // PAGE_BYTES, end // PAGE_BYTES)

    def copies(self) -> Iterator[tuple[int, bytes]]:
        """The whole pages that a program header holds again: number and bytes.

        The kernel's image has a header of its own beside that of the memory it lies in (kernel/kexec_file.c,
        crash_prepare_elf64_headers), and /proc/vmcore gives each its own bytes.
        """
        for item in self.segments:
            first = align_up(item.physical, PAGE_BYTES)
            end = align_down(item.physical + item.held_bytes, PAGE_BYTES)
            for address in range(first, end, PAGE_BYTES):
                offset = item.offset + address - item.physical
                if self._at(address // PAGE_BYTES) != offset:
                    yield address // PAGE_BYTES, self._source(offset, PAGE_BYTES)

    def _at(self, pfn: int) -> int | None:
        address, end = pfn * PAGE_BYTES, (pfn + 1) * PAGE_BYTES
        first = extent = self._held.at(address)
        while extent is not None and extent.range.end < end:
            extent = self._held.at(extent.range.end)
        return None if first is None or extent is None else first.offset + address - first.range.start


def read_elf(source: Source, size_bytes: int) -> ElfCore | FileDefect:
    """Read the headers and the notes; of the memory nothing."""
    raw = source(0, _HEADER.size)
    if len(raw) < _HEADER.size:
        return truncated(len(raw), "the ELF header is cut off")
    ident, kind, machine, version, _, table, sections, flags, _, entry_bytes, count, _, _, _ = _HEADER.unpack(raw)
    if count == _PN_XNUM and sections:
        count = int.from_bytes(source(sections + _SECTION_INFO_AT, 4), "little")
    wrong = _wrong_header(ident, (kind, machine, version), entry_bytes, count)
    if wrong is not None:
        return wrong
    headers = source(table, count * _SEGMENT.size)
    if len(headers) < count * _SEGMENT.size:
        return truncated(size_bytes, f"the table of {count} program headers is cut off")
    defects: list[FileDefect] = []
    if flags & _DUMP_ELF_INCOMPLETE:
        defects.append(incomplete(48, "the dump's writer marked it as incomplete"))
    elif flags:
        defects.append(damaged(48, f"e_flags is {flags:#x}"))
    segments, note_at = _segments(headers, table, size_bytes, defects)
    end = max([table + len(headers), *(item.offset + item.held_bytes for item in segments), sum(note_at)])
    notes = _notes(source, note_at, defects)
    return ElfCore(source, segments, notes, end, tuple(defects))


def _wrong_header(ident: bytes, kind: tuple[int, int, int], entry_bytes: int, count: int) -> FileDefect | None:
    if not ident.startswith(_IDENT):
        return unsupported(4, "not a 64-bit little-endian ELF file")
    if kind != (_ET_CORE, _EM_X86_64, 1):
        return unsupported(16, f"ELF of type {kind[0]} for machine {kind[1]}, version {kind[2]}: no x86-64 core")
    if entry_bytes != _SEGMENT.size:
        return damaged(54, f"program headers of {entry_bytes} bytes, not {_SEGMENT.size}")
    if not 1 <= count <= MAX_SEGMENTS:
        return damaged(56, f"{count} program headers")
    return None


def _segments(
    headers: bytes, table: int, size_bytes: int, defects: list[FileDefect]
) -> tuple[tuple[Segment, ...], tuple[int, int]]:
    """The PT_LOADs, cut to what the file holds, and offset and size of the notes."""
    loads: list[Segment] = []
    notes = (0, 0)
    for number, (kind, _, offset, virtual, physical, held, size, _) in enumerate(_SEGMENT.iter_unpack(headers)):
        at = table + number * _SEGMENT.size
        name = f"program header {number}"
        if kind not in (_PT_LOAD, _PT_NOTE):
            defects.append(damaged(at, f"{name} has the unknown type {kind:#x}"))
        elif kind == _PT_NOTE:
            if notes != (0, 0):
                defects.append(damaged(at, f"{name} is a second table of notes"))
            notes = (offset, held)
        elif held > size or physical + size > _MAX_PHYSICAL or offset >> 62:
            defects.append(damaged(at, f"{name} makes no sense: {held:#x} of {size:#x} bytes for {physical:#x}"))
        else:
            there = max(0, min(held, size_bytes - offset))
            if there < held:
                text = f"{held - there} bytes of the memory at {physical:#x} are missing at the file's end"
                defects.append(truncated(size_bytes, text))
            loads.append(Segment(physical, virtual, offset, there, size))
    if not loads:
        defects.append(damaged(table, "the dump has no memory"))
    return tuple(loads), notes


def _notes(source: Source, where: tuple[int, int], defects: list[FileDefect]) -> bytes:
    offset, size = where
    if size == 0 or size > MAX_NOTES_BYTES:
        defects.append(damaged(offset, f"the notes have {size} bytes"))
        return b""
    data = source(offset, size)
    if len(data) < size:
        defects.append(truncated(offset + len(data), f"{size - len(data)} bytes of the notes are missing"))
    return data
