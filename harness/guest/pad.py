"""The padding of an initrd: bytes that say where they come from.

A kernel that places an initrd over a table leaves these bytes in the table's place; read from outside, they name the
initrd (``tag``) and the exact offset in its ``/pad`` file. Every 16 bytes are ``HPAD``, the tag of four bytes, and the
offset of these 16 bytes in the file as a 64-bit little-endian number.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator

MAGIC = b"HPAD"
UNIT_BYTES = 16
TAG_BYTES = 4
_CHUNK_BYTES = 2**20


def chunks(tag: bytes, size_bytes: int) -> Iterator[bytes]:
    """The first ``size_bytes`` of the pattern, in pieces of 1 MiB."""
    (head,) = struct.unpack("<Q", MAGIC + tag)
    for start in range(0, size_bytes, _CHUNK_BYTES):
        words = array("Q", [head, 0]) * (_CHUNK_BYTES // UNIT_BYTES)
        words[1::2] = array("Q", range(start, start + _CHUNK_BYTES, UNIT_BYTES))
        if sys.byteorder == "big":
            words.byteswap()
        yield words.tobytes()[: size_bytes - start]


def locate(data: bytes) -> tuple[bytes, int] | None:
    """Tag and offset in the pad file of ``data[0]``, or None when ``data`` is not such padding.

    Two neighbouring units must agree, so at least 47 bytes are needed to be sure of an answer.
    """
    for skip in range(UNIT_BYTES):
        first, second = data[skip : skip + UNIT_BYTES], data[skip + UNIT_BYTES : skip + 2 * UNIT_BYTES]
        if len(second) < UNIT_BYTES or first[:8] != second[:8] or not first.startswith(MAGIC):
            continue
        offset, following = (int.from_bytes(unit[8:], "little") for unit in (first, second))
        if following == offset + UNIT_BYTES and offset >= skip:
            return first[4:8], offset - skip
    return None
