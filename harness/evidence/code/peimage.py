"""The PE image in memory that an address belongs to, and its name: who a firmware address is.

Microsoft PE Format (2.x): headers, debug directory. EDK2 loads each driver at a page boundary with its headers in
front, and keeps the path of the linked file in a CodeView entry (``RSDS``, ``NB10``, or ``MTOC`` of Mach-O tools,
BaseTools/Source/C/GenFw), in DEBUG builds always and in most RELEASE builds.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.evidence.defect import Defect
from harness.evidence.ranges import PAGE_BYTES, Range, align_down

Reader = Callable[[int, int], bytes]
"""``read(address, size_bytes)``; fewer bytes where there is no memory."""

MAX_IMAGE_BYTES = 64 * 2**20
MAX_BACK_BYTES = 16 * 2**20
"""How far before an address its image may begin. Firmware's drivers have less than 2 MiB, a kernel's stub 16 MiB."""
_BLOCK_BYTES = 256 * PAGE_BYTES
_MACHINE_X64, _MACHINE_I386 = 0x8664, 0x014C
_OPTIONAL = {0x20B: (112, 16), 0x10B: (96, 16)}  # PE32+, PE32: where the data directories are, how many at most
_DEBUG_DIRECTORY = 6
_CODEVIEW = 2
_MAX_PATH_BYTES = 512
_PATH_AT = {b"RSDS": 24, b"NB10": 16, b"MTOC": 20}


@dataclass(frozen=True)
class PeImage:
    """A PE image as it lies in memory."""

    range: Range
    machine: int
    """IMAGE_FILE_MACHINE: 0x8664 for x86-64, 0x14c for ia32."""
    entry: int
    """Address of its entry point."""
    path: str
    """The debug path, as it was linked; empty without one."""

    @property
    def name(self) -> str:
        """The last part of the path without its suffix, such as ``DxeCore``; empty without one."""
        return re.split(r"[/\\]", self.path)[-1].rpartition(".")[0] or re.split(r"[/\\]", self.path)[-1]


def parse(read: Reader, base: int) -> PeImage | Defect:
    """The image that begins at ``base``."""
    head = read(base, PAGE_BYTES)
    if len(head) < 64 or head[:2] != b"MZ":
        return Defect(f"no MZ header at {base:#x}")
    (offset,) = struct.unpack_from("<I", head, 0x3C)
    if offset % 4 or not 64 <= offset <= PAGE_BYTES - 256 or len(head) < offset + 256:
        return Defect(f"the PE header of the image at {base:#x} is said to be at offset {offset:#x}")
    if head[offset : offset + 4] != b"PE\0\0":
        return Defect(f"no PE header at {base + offset:#x}")
    machine, _sections, _time, _symbols, _count, optional_bytes, _flags = struct.unpack_from(
        "<HHIIIHH", head, offset + 4
    )
    optional = offset + 24
    (magic,) = struct.unpack_from("<H", head, optional)
    entry, size_bytes = (
        struct.unpack_from("<I", head, optional + 16)[0],
        struct.unpack_from("<I", head, optional + 56)[0],
    )
    if magic not in _OPTIONAL or machine not in (_MACHINE_X64, _MACHINE_I386):
        return Defect(f"the image at {base:#x} has machine {machine:#x} and format {magic:#x}")
    if not PAGE_BYTES // 8 <= size_bytes <= MAX_IMAGE_BYTES or entry >= size_bytes:
        return Defect(f"the image at {base:#x} claims {size_bytes} bytes and an entry point at {entry:#x}")
    where = Range.sized(base, size_bytes)
    first, most = _OPTIONAL[magic]
    count = min(struct.unpack_from("<I", head, optional + first - 4)[0], most)
    path = ""
    if count > _DEBUG_DIRECTORY and optional_bytes >= first + 8 * (_DEBUG_DIRECTORY + 1):
        at, length = struct.unpack_from("<II", head, optional + first + 8 * _DEBUG_DIRECTORY)
        path = _debug_path(read, where, at, length)
    return PeImage(where, machine, base + entry, path)


def containing(read: Reader, address: int, *, max_back_bytes: int = MAX_BACK_BYTES) -> PeImage | Defect:
    """The image that an address lies in, searched page by page before it; the nearest wins."""
    for base in _candidates(read, address, max_back_bytes):
        image = parse(read, base)
        if isinstance(image, PeImage) and image.range.contains(address):
            return image
    return Defect(f"no PE image in the {max_back_bytes >> 20} MiB before {address:#x} reaches it")


def _candidates(read: Reader, address: int, max_back_bytes: int) -> Iterator[int]:
    """Pages that begin with MZ, from the one of ``address`` down, read a megabyte at a time."""
    end = align_down(address, PAGE_BYTES) + PAGE_BYTES
    lowest = max(0, end - max_back_bytes)
    while end > lowest:
        start = max(lowest, end - _BLOCK_BYTES)
        block = read(start, end - start)
        for at in range(align_down(max(len(block) - 1, 0), PAGE_BYTES), -1, -PAGE_BYTES):
            if block[at : at + 2] == b"MZ":
                yield start + at
        end = start


def _debug_path(read: Reader, where: Range, at: int, length: int) -> str:
    """The path in the first CodeView entry of the debug directory."""
    if length > PAGE_BYTES or not where.contains(where.start + at):
        return ""
    directory = read(where.start + at, length)
    for offset in range(0, len(directory) - 27, 28):
        kind, size_bytes, place = struct.unpack_from("<III", directory, offset + 12)
        if kind != _CODEVIEW or place == 0 or not where.contains(where.start + place):
            continue
        data = read(where.start + place, min(size_bytes, _MAX_PATH_BYTES))
        begin = _PATH_AT.get(data[:4])
        if begin is not None:
            text = data[begin:].partition(b"\0")[0].decode("latin-1")
            return text if text.isprintable() else ""
    return ""
