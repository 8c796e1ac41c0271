"""What a bzImage unpacks to: the kernel's stripped ELF file, in one of the compressions that kernels use.

Documentation/arch/x86/boot.rst, payload_offset and payload_length; scripts/Makefile.lib for the compressions.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import subprocess
import zlib
from collections.abc import Callable, Mapping
from typing import Protocol

from harness.errors import HostError, InputError

MAX_BYTES = 512 << 20
"""A kernel image has at most 1 GiB of addresses (KERNEL_IMAGE_SIZE); Debian's unpack to 64 MB."""
_ELF = b"\x7fELF"


def unpack(image: bytes, name: str) -> bytes:
    """The kernel's ELF file.

    Args:
        image: A whole bzImage whose header ``bzimage.parse`` has accepted.
        name: What the user called it, for messages.

    Raises:
        InputError: the compressed kernel is damaged, or compressed in a way that is not known.
        HostError: the program ``zstd`` is needed and missing.
    """
    offset, length = struct.unpack_from("<II", image, 0x248) if len(image) >= 0x250 else (0, 0)
    start = ((image[0x1F1] or 4) + 1) * 512 + offset if length else 0
    packed = image[start : start + length] if length else b""
    if len(packed) < 8 or len(packed) < length:
        raise InputError(f"{name} has no compressed kernel where its header says", hint="copy or build it again")
    try:
        plain = _plain(packed)
    except (ValueError, zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        raise InputError(
            f"the compressed kernel in {name} is damaged: {error}", hint="copy or build it again"
        ) from error
    if not plain.startswith(_ELF):
        raise InputError(f"the compressed kernel in {name} is no ELF file")
    return plain


def _plain(packed: bytes) -> bytes:
    """Raises: ValueError, zlib.error, LZMAError, OSError or EOFError for damaged data; HostError."""
    for magic, unpacker in _COMPRESSIONS.items():
        if packed.startswith(magic):
            return unpacker(packed)
    raise ValueError(f"a compression that begins with {packed[:6].hex(' ')} is not known")


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _whole(decompressor: _Decompressor, packed: bytes) -> bytes:
    plain = decompressor.decompress(packed, MAX_BYTES)
    if not decompressor.eof:
        raise ValueError("it ends too early, or unpacks to more than a kernel can have")
    return plain


def _unzstd(packed: bytes) -> bytes:
    """The stdlib has no zstd before Python 3.14."""
    try:
        done = subprocess.run(["zstd", "-dcq"], input=packed, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise HostError("zstd is needed to read the symbols of this kernel", hint="apt-get install zstd") from error
    if done.returncode != 0:
        raise ValueError((done.stderr.decode(errors="replace").strip().splitlines() or ["zstd failed"])[-1])
    return done.stdout


def _unlz4(packed: bytes) -> bytes:
    """The legacy frame of lz4 (doc/lz4_Frame_format.md): blocks, each with its size before it."""
    at, plain = 0, bytearray()
    while at + 4 <= len(packed):
        (length,) = struct.unpack_from("<I", packed, at)
        at += 4
        if not 0 < length <= len(packed) - at:
            raise ValueError(f"an lz4 block of {length} bytes, and {len(packed) - at} are left")
        try:
            plain += _lz4_block(packed[at : at + length])
        except IndexError as error:
            raise ValueError("an lz4 block ends too early") from error
        if len(plain) > MAX_BYTES:
            raise ValueError("it unpacks to more than a kernel can have")
        at += length
    return bytes(plain)


def _lz4_block(block: bytes) -> bytearray:
    """doc/lz4_Block_format.md: literals, then a copy of what was written before, again and again.

    Raises:
        ValueError, IndexError: the block is damaged.
    """
    plain, at, end = bytearray(), 0, len(block)
    while True:
        token = block[at]
        at, literals = _lz4_length(block, at + 1, token >> 4)
        plain += block[at : at + literals]
        at += literals
        if at >= end:
            return plain
        distance = block[at] | block[at + 1] << 8
        at, length = _lz4_length(block, at + 2, token & 15)
        length += 4
        start = len(plain) - distance
        if not distance or start < 0 or len(plain) > MAX_BYTES:
            raise ValueError("an lz4 block copies from before its beginning")
        if length <= distance:
            plain += plain[start : start + length]
        else:  # the copy overlaps itself: a pattern
            plain += (plain[start:] * (length // distance + 1))[:length]


def _lz4_length(block: bytes, at: int, length: int) -> tuple[int, int]:
    if length == 15:
        while True:
            more = block[at]
            at, length = at + 1, length + more
            if more != 255:
                break
    return at, length


_COMPRESSIONS: Mapping[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": lambda packed: _whole(zlib.decompressobj(31), packed),
    b"\xfd7zXZ\0": lambda packed: _whole(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_BYTES), packed),
    b"\x5d\0\0": lambda packed: _whole(lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MAX_BYTES), packed),
    b"BZh": lambda packed: _whole(bz2.BZ2Decompressor(), packed),
    # behind these two stands a word with the size of the kernel (size_append in scripts/Makefile.lib)
    b"\x28\xb5\x2f\xfd": lambda packed: _unzstd(packed[:-4]),
    b"\x02\x21\x4c\x18": lambda packed: _unlz4(packed[4:-4]),
    _ELF: lambda packed: packed,
}
