"""Who overwrote a table: is what lies there now a piece of the next kernel's initrd?"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from harness.evidence.maps.segments import Role, Segment
from harness.evidence.ranges import Range, align_down, align_up

Reader = Callable[[int, int], bytes]
"""``read(offset, size_bytes)`` of the initrd; fewer bytes at its end."""

CELL_BYTES = 16
CELL_MAGIC = b"HPAD"
_CELL = struct.Struct("<4s4sQ")
_MIN_RUN_BYTES = CELL_BYTES
"""Fewer equal bytes than a cell may be chance."""
_MIN_DISTINCT = 4
"""A run of equal bytes with fewer distinct values (zeros, a fill pattern) says nothing about its origin."""


class Source(StrEnum):
    INITRD = "initrd"
    """The bytes are those of the initrd at ``file_offset``."""
    ZEROS = "zeros"
    """Zeros, where the segment is zero-filled (between its buffer's end and its memory's end)."""


@dataclass(frozen=True)
class Attribution:
    source: Source
    where: Range
    """The bytes of the sample that are explained."""
    complete: bool
    """Every byte that the segment put over the table is still there. The next kernel frees the initrd once it is
    unpacked, so later writes may leave only a part of it."""
    file_offset: int | None
    """Offset in the initrd of the first explained byte; None for zeros."""
    text: str


def pad_bytes(tag: bytes, offset: int, size_bytes: int) -> bytes:
    """A piece of the initrd's padding file, from ``offset`` in that file on.

    The file is made of 16-byte cells: ``HPAD``, the 4-byte tag, the cell's own offset in the file as a
    little-endian 64-bit number. So any 16 bytes of it tell where they come from.

    Raises:
        ValueError: the tag has not 4 bytes.
    """
    if len(tag) != 4:
        raise ValueError(f"tag {tag!r} has not 4 bytes")
    first = align_down(offset, CELL_BYTES)
    last = align_up(offset + size_bytes, CELL_BYTES)
    data = b"".join(_CELL.pack(CELL_MAGIC, tag, place) for place in range(first, last, CELL_BYTES))
    return data[offset - first :][:size_bytes]


def placed_bytes(where: Range, segment: Segment, read_initrd: Reader) -> bytes | None:
    """What an initrd segment puts at ``where``: bytes of the initrd, then zeros from its buffer's end on.

    None when ``where`` is not wholly inside the segment, when the segment is no initrd, or when the initrd is shorter
    than the segment says.
    """
    if segment.role is not Role.INITRD or not segment.range.contains(where):
        return None
    offset = where.start - segment.range.start
    copied = max(0, min(where.size_bytes, segment.buffer_bytes - offset))
    data = read_initrd(offset, copied) if copied else b""
    return data + bytes(where.size_bytes - copied) if len(data) == copied else None


def attribute(sample: bytes, table: Range, segment: Segment, read_initrd: Reader) -> Attribution | None:
    """Compare a sample with what the segment should have put there; None when it is something else.

    Of a segment other than the initrd only the zero-filled part can be recognised.

    Args:
        sample: the bytes now at ``table`` (as long as it is).
        segment: the segment that covers the table, wholly or in part.
        read_initrd: ``read(offset, size_bytes)`` of the initrd; may return fewer bytes at its end.
    """
    covered = table.intersection(segment.range)
    if covered is None or len(sample) != table.size_bytes:
        return None
    copied = covered.intersection(Range.sized(segment.range.start, segment.buffer_bytes))
    if copied is None:
        return _zeros(sample, table, covered, segment)
    expected = placed_bytes(copied, segment, read_initrd)
    if expected is None:
        return None
    found = sample[copied.start - table.start :][: copied.size_bytes]
    begin, end = _longest_equal_run(expected, found)
    run = found[begin:end]
    # A run as short as the covered part is taken when it is all of it: a table's last bytes may be few.
    if len(run) < min(_MIN_RUN_BYTES, len(found)) or len(set(run)) < min(_MIN_DISTINCT, len(found)):
        return None
    where = Range(copied.start + begin, copied.start + end)
    offset = where.start - segment.range.start
    complete = run == found
    amount = "all" if complete else f"{len(run)} of {len(found)}"
    text = f"{amount} bytes at {where} are those of the initrd at offset {offset:#x}, put there by {segment}"
    return Attribution(Source.INITRD, where, complete, offset, text + _cell_text(run))


def _zeros(sample: bytes, table: Range, covered: Range, segment: Segment) -> Attribution | None:
    if any(sample[covered.start - table.start :][: covered.size_bytes]):
        return None
    text = f"all bytes at {covered} are zero: the zero-filled end of {segment}"
    return Attribution(Source.ZEROS, covered, True, None, text)


def _longest_equal_run(one: bytes, other: bytes) -> tuple[int, int]:
    best = (0, 0)
    start = 0
    for index in range(len(one) + 1):
        if index == len(one) or one[index] != other[index]:
            if index - start > best[1] - best[0]:
                best = (start, index)
            start = index + 1
    return best


def _cell_text(run: bytes) -> str:
    """The first whole padding cell in a run, in words."""
    at = run.find(CELL_MAGIC)
    if at < 0 or len(run) - at < CELL_BYTES:
        return ""
    _, tag, offset = _CELL.unpack_from(run, at)
    return f" (padding cell {tag.decode('ascii', 'backslashreplace')} {offset:#x})"
