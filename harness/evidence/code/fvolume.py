"""The drivers of a firmware file (OVMF_CODE.fd) and their names, to recognise one in memory.

Volumes, files and sections: PI 1.8, volume 3, 2 and 3. OVMF keeps its drivers in one LZMA
section (GUID ee4e5898...). RELEASE builds carry no debug path in an image, but each file has a name section.
"""

from __future__ import annotations

import lzma
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from harness.evidence.code import peimage
from harness.evidence.ranges import align_up

_SIGNATURE = b"_FVH"
_VOLUME = struct.Struct("<16x16sQ4sIHHHxB")
_LZMA = bytes.fromhex("98584eee143959429d6edc7bd79403cf")
_SECTION_GUIDED, _SECTION_PE32, _SECTION_TE, _SECTION_NAME, _SECTION_VOLUME = 0x02, 0x10, 0x12, 0x15, 0x17
_LARGE_FILE = 0x01
_MAX_BYTES = 128 * 2**20
_MAX_DEPTH = 6


@dataclass(frozen=True)
class ImageKey:
    """What a PE image keeps when it is loaded: the loader changes its base address and applies relocations only."""

    size_bytes: int
    entry: int
    sections: bytes


def image_key(read: peimage.Reader, base: int) -> ImageKey | None:
    """The key of the PE image at ``base``; None when there is none."""
    image = peimage.parse(read, base)
    if not isinstance(image, peimage.PeImage):
        return None
    (offset,) = struct.unpack("<I", read(base + 0x3C, 4))
    count, optional_bytes = struct.unpack("<H12xH", read(base + offset + 6, 16))
    table = read(base + offset + 24 + optional_bytes, 40 * min(count, 16))
    return ImageKey(image.range.size_bytes, image.entry - base, table)


def names(firmware: bytes) -> dict[ImageKey, str]:
    """The name of each PE image in a firmware file; those that two names have in common are left out."""
    found: dict[ImageKey, set[str]] = {}
    for name, image in _images(firmware[:_MAX_BYTES], 0):
        key = image_key(_reader(image), 0)
        if key is not None and name:
            found.setdefault(key, set()).add(name)
    return {key: next(iter(some)) for key, some in found.items() if len(some) == 1}


def _reader(data: bytes) -> peimage.Reader:
    return lambda address, size_bytes: data[address : address + size_bytes]


def _images(data: bytes, depth: int) -> Iterator[tuple[str, bytes]]:
    """Every PE32 section with its file's name, in all volumes in ``data``."""
    at = data.find(_SIGNATURE)
    while at >= 0:
        start = at - 40
        end = at + 1
        if start >= 0:
            _guid, size_bytes, _sign, _attributes, header_bytes = _VOLUME.unpack_from(data, start)[:5]
            if header_bytes < 56 or size_bytes <= header_bytes or start + size_bytes > len(data):
                size_bytes = 0
            if size_bytes:
                (extended,) = struct.unpack_from("<H", data, start + 52)
                yield from _files(data[start : start + size_bytes], extended or header_bytes, bool(extended), depth)
                end = start + size_bytes
        at = data.find(_SIGNATURE, end)


def _files(volume: bytes, at: int, extended: bool, depth: int) -> Iterator[tuple[str, bytes]]:
    if extended and at + 20 <= len(volume):
        at += struct.unpack_from("<I", volume, at + 16)[0]
    at = align_up(at, 8)
    while at + 24 <= len(volume):
        attributes = volume[at + 19]
        size_bytes, header_bytes = int.from_bytes(volume[at + 20 : at + 23], "little"), 24
        if attributes & _LARGE_FILE:
            size_bytes, header_bytes = int.from_bytes(volume[at + 24 : at + 32], "little"), 32
        if size_bytes < header_bytes or volume[at : at + 16] == b"\xff" * 16 or at + size_bytes > len(volume):
            return
        yield from _sections(volume[at + header_bytes : at + size_bytes], depth)
        at = align_up(at + size_bytes, 8)


def _sections(body: bytes, depth: int) -> Iterator[tuple[str, bytes]]:
    """The images of one file; its name is a section of its own, behind them."""
    images: list[bytes] = []
    name, at = "", 0
    while at + 4 <= len(body):
        size_bytes, kind = int.from_bytes(body[at : at + 3], "little"), body[at + 3]
        header_bytes = 4
        if size_bytes == 0xFFFFFF:
            size_bytes, header_bytes = int.from_bytes(body[at + 4 : at + 8], "little"), 8
        if size_bytes < header_bytes or at + size_bytes > len(body):
            break
        content = body[at + header_bytes : at + size_bytes]
        if kind == _SECTION_PE32:
            images.append(content)
        elif kind == _SECTION_NAME:
            name = content.decode("utf-16-le", "replace").partition("\0")[0]
        elif kind == _SECTION_VOLUME and depth < _MAX_DEPTH:
            yield from _images(content, depth + 1)
        elif kind == _SECTION_GUIDED and depth < _MAX_DEPTH:
            yield from _guided(content, header_bytes, depth)
        at = align_up(at + size_bytes, 4)
    yield from ((name, image) for image in images)


def _guided(content: bytes, header_bytes: int, depth: int) -> Iterator[tuple[str, bytes]]:
    if len(content) < 20 or content[:16] != _LZMA:
        return
    (offset,) = struct.unpack_from("<H", content, 16)
    decoder = lzma.LZMADecompressor(format=lzma.FORMAT_ALONE)
    try:
        plain = decoder.decompress(content[offset - header_bytes :], max_length=_MAX_BYTES)
    except (lzma.LZMAError, EOFError):
        return
    yield from _sections(plain, depth + 1)
