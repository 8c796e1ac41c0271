"""makedumpfile's kdump-compressed format, versions 1 to 6, of x86-64.

In blocks of ``block_size``: the header (struct disk_dump_header), the sub header (struct kdump_sub_header), a bitmap
of the pages that exist and one of those that are in the file, each half of ``bitmap_blocks``; then a descriptor
(struct page_desc) for each page in the file and the pages' data, in the same order. All zero pages may share one
block of data, the first. QEMU's dump-guest-memory writes the same format. Sources: makedumpfile's diskdump_mod.h and
IMPLEMENTATION, QEMU's include/sysemu/dump.h.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from harness.evidence.ranges import PAGE_BYTES, Range
from harness.evidence.vmcore.bitmap import Bitmap
from harness.evidence.vmcore.notes import MAX_NOTES_BYTES
from harness.evidence.vmcore.source import (
    FileDefect,
    Source,
    damaged,
    incomplete,
    truncated,
    unsupported,
    window,
)
from harness.evidence.vmcoreinfo import MAX_BYTES

SIGNATURE = b"KDUMP   "
MAX_BITMAP_BYTES = 64 << 20
"""Enough for 2 TiB of memory."""
_HEADER = struct.Struct("<8si390s6x16sIiiIIIIIIi")
_SUB_HEADER = struct.Struct("<QiiQQqQqQqQQQQ")
_DESCRIPTOR = struct.Struct("<qIIQ")
_ZLIB, _LZO, _SNAPPY, _INCOMPLETE, _NO_VMEMMAP, _ZSTD = 1, 2, 4, 8, 0x10, 0x20
_STATUS_BITS = _ZLIB | _LZO | _SNAPPY | _INCOMPLETE | _NO_VMEMMAP | _ZSTD
_UNKNOWN = {_LZO: "lzo", _SNAPPY: "snappy", _ZSTD: "zstd"}
_STATUS_AT, _BLOCK_SIZE_AT, _SUB_BLOCKS_AT, _BITMAP_BLOCKS_AT = 424, 428, 432, 436
_CHUNK_DESCRIPTORS = 16384


@dataclass(frozen=True)
class Header:
    """What the two headers say."""

    release: str
    machine: str
    status: int
    dump_level: int
    phys_base: int
    max_pfn: int
    bitmaps_at: int
    bitmap_bytes: int
    """Of each of the two."""
    notes: tuple[int, int]
    """Offset and size."""
    vmcoreinfo: tuple[int, int]

    @property
    def descriptors_at(self) -> int:
        return self.bitmaps_at + 2 * self.bitmap_bytes


class KdumpCompressed:
    """The pages of a kdump-compressed file."""

    def __init__(self, source: Source, size_bytes: int, header: Header, present: Bitmap, held: Bitmap) -> None:
        self.header = header
        self.notes = b""
        self.vmcoreinfo_text: bytes | None = None
        self.defects: tuple[FileDefect, ...] = ()
        self.end_bytes = self.data_at = header.descriptors_at + held.count * _DESCRIPTOR.size
        self._source = source
        self._descriptors = window(source, size_bytes)
        self._present, self._held = present, held
        self._listed = 0

    @property
    def ranges(self) -> tuple[Range, ...]:
        """The memory that the guest had."""
        return tuple(Range(item.start * PAGE_BYTES, item.end * PAGE_BYTES) for item in self._present.runs())

    def has(self, pfn: int) -> bool:
        """Is a page in the file?"""
        return pfn in self._held

    def held(self) -> Iterator[Range]:
        """The pages in the file, as ranges of page numbers."""
        return self._held.runs()

    def page(self, pfn: int) -> bytes | FileDefect | None:
        """A page's bytes; None when it was left out."""
        if pfn not in self._held:
            return None
        at = self.header.descriptors_at + self._held.rank(pfn) * _DESCRIPTOR.size
        raw = self._descriptors(at, _DESCRIPTOR.size)
        if len(raw) < _DESCRIPTOR.size:
            return truncated(at, f"the descriptor of page {pfn:#x} is cut off")
        offset, size, flags, _ = _DESCRIPTOR.unpack(raw)
        if not 0 < size <= PAGE_BYTES or offset < 0:
            return damaged(at, f"page {pfn:#x} has {size} bytes of data at {offset:#x}")
        data = self._source(offset, size)
        if len(data) < size:
            return truncated(offset + len(data), f"the data of page {pfn:#x} is cut off")
        return _unpacked(data, flags, f"page {pfn:#x}", offset)

    def read(self, address: int, size: int) -> bytes | None:
        """None: this format has whole pages only, and the caller joins them."""
        del address, size
        return None

    def scan(self, size_bytes: int) -> list[FileDefect]:
        """Go through all descriptors: the data they name must follow each other, without gaps, inside the file.

        Moves ``end_bytes`` to where the last page's data ends. The first defect ends the scan.
        """
        expected, shared = self.data_at, 0
        zeros = (self.data_at, PAGE_BYTES, 0, 0)
        for where, item in self._all_descriptors():
            offset, size, flags, page_flags = item
            if expected == self.data_at and offset == expected + PAGE_BYTES:
                expected, shared = offset, 2  # makedumpfile and QEMU write the block of zeros first, used or not
            if offset == expected and 0 < size <= PAGE_BYTES and flags in (0, _ZLIB) and not page_flags:
                expected += size
                shared += item == zeros
            elif item == zeros:
                shared += 1
            else:
                return [_odd_descriptor(where, item, expected)]
            self.end_bytes = expected
        listed = self.header.descriptors_at + self._listed * _DESCRIPTOR.size
        if self._listed < self._held.count:
            return [truncated(listed, f"{self._held.count - self._listed} page descriptors are cut off")]
        if expected > size_bytes:
            return [truncated(size_bytes, f"{expected - size_bytes} bytes of page data are missing")]
        if shared > 1 and self._source(self.data_at, PAGE_BYTES).strip(b"\0"):
            return [damaged(self.data_at, "the page of zeros that all zero pages share is not zero")]
        return []

    def _all_descriptors(self) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
        """Offset and contents of each descriptor that is there, counted in ``_listed``."""
        at, left = self.header.descriptors_at, self._held.count
        while left:
            wanted = min(left, _CHUNK_DESCRIPTORS)
            chunk = self._source(at, wanted * _DESCRIPTOR.size)
            whole = len(chunk) // _DESCRIPTOR.size
            for item in _DESCRIPTOR.iter_unpack(chunk[: whole * _DESCRIPTOR.size]):
                yield at, item
                at += _DESCRIPTOR.size
            self._listed += whole
            left = left - wanted if whole == wanted else 0


def _odd_descriptor(where: int, item: tuple[int, int, int, int], expected: int) -> FileDefect:
    offset, size, flags, page_flags = item
    packing = next((name for bit, name in _UNKNOWN.items() if flags == bit), "")
    if packing and offset == expected:
        return unsupported(where, f"the pages are compressed by {packing}, which this reader does not know")
    text = f"a page descriptor has offset {offset:#x} (expected {expected:#x}), size {size}, flags {flags:#x}"
    return damaged(where, f"{text}, page flags {page_flags:#x}")


def _unpacked(data: bytes, flags: int, name: str, offset: int) -> bytes | FileDefect:
    if flags == 0:
        return data if len(data) == PAGE_BYTES else damaged(offset, f"{name} has only {len(data)} bytes")
    if flags != _ZLIB:
        packing = _UNKNOWN.get(flags, f"flags {flags:#x}")
        return unsupported(offset, f"{name} is compressed by {packing}, which this reader does not know")
    inflate = zlib.decompressobj()
    try:
        page = inflate.decompress(data, PAGE_BYTES + 1)
    except zlib.error as error:
        return damaged(offset, f"{name} cannot be unpacked: {error}")
    if len(page) != PAGE_BYTES or not inflate.eof or inflate.unused_data:
        return damaged(offset, f"{name} does not unpack to exactly {PAGE_BYTES} bytes")
    return page


def read_kdump(source: Source, size_bytes: int) -> KdumpCompressed | FileDefect:
    """Read the headers, the bitmaps, the notes, and every descriptor once; of the pages' data nothing."""
    header = _header(source, size_bytes)
    if isinstance(header, FileDefect):
        return header
    bitmaps = []
    for number in range(2):
        at = header.bitmaps_at + number * header.bitmap_bytes
        data = source(at, header.bitmap_bytes)
        if len(data) < header.bitmap_bytes:
            return truncated(at + len(data), f"bitmap {number + 1} is cut off")
        bitmaps.append(Bitmap(data, header.max_pfn))
    present, held = bitmaps
    dump = KdumpCompressed(source, size_bytes, header, present, held)
    defects = _header_defects(header)
    defects += [
        damaged(header.bitmaps_at + number * header.bitmap_bytes, f"bitmap {number + 1} has pages behind the last")
        for number, bitmap in enumerate(bitmaps)
        if bitmap.stray
    ]
    outside = held.outside(present)
    if outside is not None:
        place = header.bitmaps_at + header.bitmap_bytes + outside // 8
        defects.append(damaged(place, f"page {outside:#x} is in the file but not in the guest's memory"))
    dump.notes = _blob(source, header.notes, "notes", MAX_NOTES_BYTES, defects)
    dump.vmcoreinfo_text = _blob(source, header.vmcoreinfo, "VMCOREINFO", MAX_BYTES, defects) or None
    dump.defects = (*defects, *dump.scan(size_bytes))
    return dump


def _header(source: Source, size_bytes: int) -> Header | FileDefect:
    raw = source(0, _HEADER.size)
    if len(raw) < _HEADER.size:
        return truncated(len(raw), "the header is cut off")
    fields = _HEADER.unpack(raw)
    _, version, names, _, status, block, sub_blocks, bitmap_blocks, max_pfn, *_ = fields
    wrong = _wrong_sizes(version, block, sub_blocks, bitmap_blocks)
    if wrong is not None:
        return wrong
    sub = source(PAGE_BYTES, _SUB_HEADER.size)
    if len(sub) < _SUB_HEADER.size:
        return truncated(size_bytes, "the sub header is cut off")
    (phys_base, level, _, _, _, info_at, info_bytes, note_at, note_bytes, _, _, _, _, max_64) = _SUB_HEADER.unpack(sub)
    bitmap_bytes = bitmap_blocks // 2 * PAGE_BYTES
    pages = max_64 if version >= 6 else max_pfn
    # makedumpfile gives the bitmaps no more blocks than they need.
    if not bitmap_bytes - PAGE_BYTES < -(-pages // 8) <= bitmap_bytes:
        return damaged(_BITMAP_BLOCKS_AT, f"{pages} pages and bitmaps of {bitmap_bytes} bytes do not go together")
    texts = [names[at : at + 65].partition(b"\0")[0].decode("latin-1") for at in range(0, 390, 65)]
    return Header(
        release=texts[2],
        machine=texts[4],
        status=status,
        dump_level=level,
        phys_base=phys_base,
        max_pfn=pages,
        bitmaps_at=PAGE_BYTES * (1 + sub_blocks),
        bitmap_bytes=bitmap_bytes,
        notes=(note_at, note_bytes) if version >= 4 else (0, 0),
        vmcoreinfo=(info_at, info_bytes) if version >= 3 else (0, 0),
    )


def _wrong_sizes(version: int, block: int, sub_blocks: int, bitmap_blocks: int) -> FileDefect | None:
    if not 1 <= version <= 6:
        return unsupported(8, f"kdump-compressed version {version}; 1 to 6 are known")
    if block != PAGE_BYTES:
        return damaged(_BLOCK_SIZE_AT, f"the block size is {block}, not {PAGE_BYTES}")
    if not 1 <= sub_blocks <= MAX_NOTES_BYTES // PAGE_BYTES:
        return damaged(_SUB_BLOCKS_AT, f"the sub header has {sub_blocks} blocks")
    if bitmap_blocks % 2 or not 2 <= bitmap_blocks <= 2 * MAX_BITMAP_BYTES // PAGE_BYTES:
        return damaged(_BITMAP_BLOCKS_AT, f"the two bitmaps have {bitmap_blocks} blocks")
    return None


def _header_defects(header: Header) -> list[FileDefect]:
    found = []
    if header.status & _INCOMPLETE:
        found.append(incomplete(_STATUS_AT, "the dump's writer marked it as incomplete"))
    if header.status & ~_STATUS_BITS:
        found.append(damaged(_STATUS_AT, f"the status is {header.status:#x}"))
    if header.machine != "x86_64":
        found.append(damaged(12 + 4 * 65, f"the machine is {header.machine!r}, not x86_64"))
    return found


def _blob(source: Source, where: tuple[int, int], name: str, limit: int, defects: list[FileDefect]) -> bytes:
    offset, size = where
    if (offset, size) == (0, 0):
        return b""
    if offset < PAGE_BYTES or size > limit:
        defects.append(damaged(PAGE_BYTES, f"{size} bytes of {name} at {offset:#x}"))
        return b""
    data = source(offset, size)
    if len(data) < size:
        defects.append(truncated(offset + len(data), f"the {name} are cut off"))
    return data
