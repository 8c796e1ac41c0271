"""makedumpfile's flattened format: what ``makedumpfile -F`` writes to a pipe, where it cannot seek.

A header padded to 4096 bytes, then records: big-endian signed 64-bit offset and size, and the bytes that belong
there. Offset and size of -1 end it (struct makedumpfile_header and makedumpfile_data_header). A later record
overwrites an earlier one. QEMU's dump-guest-memory writes the same format around a kdump-compressed dump.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from harness.evidence.ranges import Range
from harness.evidence.vmcore.source import (
    Extent,
    ExtentMap,
    FileDefect,
    Source,
    damaged,
    truncated,
    unsupported,
    window,
)

SIGNATURE = b"makedumpfile\0\0\0\0"
HEADER_BYTES = 4096
MAX_RECORDS = 1 << 22
"""An index of about 1 GB would be needed for more; makedumpfile writes some 4 KiB to 4 MiB a record."""
_HEADER = struct.Struct(">16sqq")
_RECORD = struct.Struct(">qq")
_MAX_ADDRESS = 1 << 62


@dataclass(frozen=True)
class Flattened:
    """A flattened file, put in order."""

    source: Source
    """The dump inside. Bytes that no record holds are zero, as in the sparse file makedumpfile -R makes."""
    size_bytes: int
    """Where its last record ends."""
    end_bytes: int
    """Where the flattened data ends in the outer file, end marker included; a disk's rest may follow."""
    defects: tuple[FileDefect, ...]


def is_flattened(start: bytes) -> bool:
    """Does a file that begins so have this format?"""
    return start.startswith(SIGNATURE)


def read_flattened(source: Source, size_bytes: int) -> Flattened | FileDefect:
    """Index the records; of the data nothing is read."""
    header = source(0, _HEADER.size)
    if len(header) < _HEADER.size or size_bytes < HEADER_BYTES:
        return truncated(size_bytes, "the header of the flattened format is cut off")
    _, kind, version = _HEADER.unpack(header)
    if (kind, version) != (1, 1):
        return unsupported(16, f"flattened format of type {kind}, version {version}; only 1, 1 is known")
    extents: list[Extent] = []
    defects: list[FileDefect] = []
    end = _index(window(source, size_bytes), size_bytes, extents, defects)
    held = ExtentMap(extents)
    inner_size = max((extent.range.end for extent in extents), default=0)
    return Flattened(_inner(source, held, inner_size), inner_size, end, tuple(defects))


def _index(source: Source, size_bytes: int, extents: list[Extent], defects: list[FileDefect]) -> int:
    """Fill ``extents``; the offset where the data ends."""
    at = HEADER_BYTES
    while True:
        raw = source(at, _RECORD.size)
        if len(raw) < _RECORD.size:
            defects.append(truncated(at, "the flattened data has no end marker"))
            return size_bytes
        offset, size = _RECORD.unpack(raw)
        if offset == size == -1:
            return at + _RECORD.size
        if not (0 <= offset < _MAX_ADDRESS and 0 < size < _MAX_ADDRESS):
            defects.append(damaged(at, f"a record of the flattened data has offset {offset:#x} and size {size:#x}"))
            return at
        if len(extents) == MAX_RECORDS:
            defects.append(unsupported(at, f"the flattened data has more than {MAX_RECORDS} records"))
            return at
        at += _RECORD.size
        there = min(size, size_bytes - at)
        if there:
            extents.append(Extent(Range.sized(offset, there), at))
        if there < size:
            text = f"the flattened data ends {size - there} bytes before its record for offset {offset:#x} does"
            defects.append(truncated(size_bytes, text))
            return size_bytes
        at += size


def _inner(source: Source, held: ExtentMap, inner_size: int) -> Source:
    def read(offset: int, size: int) -> bytes:
        pieces = []
        end = min(offset + size, inner_size)
        while offset < end:
            extent = held.at(offset)
            if extent is None:
                following = held.next_start(offset)
                stop = end if following is None else min(end, following)
                pieces.append(bytes(stop - offset))
            else:
                stop = min(end, extent.range.end)
                pieces.append(source(extent.offset + offset - extent.range.start, stop - offset))
            offset = stop
        return b"".join(pieces)

    return read
