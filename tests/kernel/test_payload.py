from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import struct
import subprocess
from collections.abc import Callable

import pytest

from harness.errors import InputError
from harness.kernel.image import payload

from . import build

ELF = b"\x7fELF" + bytes(range(256)) * 64
SIZE = struct.pack("<I", len(ELF))


def bzimage(packed: bytes) -> bytes:
    """With the compressed kernel 32 bytes into the protected-mode code."""
    image = bytearray(build.bzimage(code=bytes(32) + packed + bytes(-len(packed) % 16)))
    struct.pack_into("<II", image, 0x248, 32, len(packed))
    return bytes(image)


def lz4(blocks: list[bytes]) -> bytes:
    return b"\x02\x21\x4c\x18" + b"".join(struct.pack("<I", len(block)) + block for block in blocks) + SIZE


def lz4_of_elf() -> bytes:
    """20 literals; 8 bytes from 16 before; 12 literals and then the last of them 300 times; the rest as literals."""
    start = ELF[:20]
    first = bytes([0xF4, 5]) + start + struct.pack("<H", 16)
    second = bytes([0xCF]) + b"abcdefghijkl" + struct.pack("<H", 1) + bytes([255, 26])
    return lz4([first + second + bytes([0x30]) + b"end", bytes([0x40]) + b"more"])


LZ4_PLAIN = ELF[:20] + ELF[4:12] + b"abcdefghijkl" + b"l" * 300 + b"end" + b"more"

KINDS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32) + SIZE,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE) + SIZE,
    "bzip2": lambda data: bz2.compress(data) + SIZE,
    "none": lambda data: data,
}


@pytest.mark.parametrize("kind", KINDS)
def test_compressions(kind: str) -> None:
    assert payload.unpack(bzimage(KINDS[kind](ELF)), "FILE") == ELF


@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
def test_zstd() -> None:
    packed = subprocess.run(["zstd", "-cq"], input=ELF, capture_output=True, check=True).stdout
    assert payload.unpack(bzimage(packed + SIZE), "FILE") == ELF
    broken = bytearray(packed)
    broken[12] ^= 0xFF
    with pytest.raises(InputError, match="FILE is damaged"):
        payload.unpack(bzimage(bytes(broken) + SIZE), "FILE")


def test_lz4() -> None:
    assert payload.unpack(bzimage(lz4_of_elf()), "FILE") == LZ4_PLAIN


@pytest.mark.parametrize("kind", ["gzip", "xz", "lzma", "bzip2"])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_payload_that_ends_too_early(kind: str, part: float) -> None:
    packed = KINDS[kind](ELF)
    with pytest.raises(InputError, match="FILE is damaged"):
        payload.unpack(bzimage(packed[: int(len(packed) * part)]), "FILE")


@pytest.mark.parametrize(
    "block",
    [
        b"",
        bytes([0xF4]),
        bytes([0x40]) + b"\x7fEL",
        bytes([0x44]) + b"\x7fELF" + struct.pack("<H", 5) + b"\0",
        bytes([0x44]) + b"\x7fELF" + struct.pack("<H", 0) + b"\0",
        bytes([0x4F]) + b"\x7fELF" + struct.pack("<H", 4) + b"\xff\xff",
    ],
)
def test_damaged_lz4(block: bytes) -> None:
    with pytest.raises(InputError):
        payload.unpack(bzimage(lz4([block])), "FILE")


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (build.bzimage(), "no compressed kernel where its header says"),
        (bzimage(gzip.compress(ELF))[:-200], "no compressed kernel where its header says"),
        (bzimage(b"LZOP rather" * 9), "4c 5a 4f 50 20 72 is not known"),
        (bzimage(gzip.compress(b"no ELF file")), "is no ELF file"),
    ],
)
def test_what_is_no_payload(image: bytes, why: str) -> None:
    with pytest.raises(InputError, match=why):
        payload.unpack(image, "FILE")
