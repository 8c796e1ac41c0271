"""Names of drivers out of a firmware file."""

from __future__ import annotations

import lzma
import struct
from pathlib import Path

import pytest

from harness.evidence.code import fvolume
from harness.evidence.ranges import align_up

from .test_peimage import image, memory

LZMA_GUID = bytes.fromhex("98584eee143959429d6edc7bd79403cf")


def section(kind: int, content: bytes) -> bytes:
    data = (len(content) + 4).to_bytes(3, "little") + bytes([kind]) + content
    return data.ljust(align_up(len(data), 4), b"\0")


def named(name: str, content: bytes) -> bytes:
    body = section(0x10, content) + section(0x15, (name + "\0").encode("utf-16-le"))
    return (bytes(16) + b"\0\0\7\0" + (24 + len(body)).to_bytes(3, "little") + b"\xf8" + body).ljust(
        align_up(24 + len(body), 8), b"\xff"
    )


def volume(*files: bytes) -> bytes:
    body = b"".join(files) + b"\xff" * 64
    head = struct.pack("<16x16sQ4sIHHHxBIIII", b"\1" * 16, 72 + len(body), b"_FVH", 0, 72, 0, 0, 2, 1, 4096, 0, 0)
    return head.ljust(72, b"\0") + body


def compressed(inner: bytes) -> bytes:
    """A file with an LZMA section that holds a volume."""
    plain = section(0x17, inner)
    packed = lzma.compress(plain, format=lzma.FORMAT_ALONE)
    body = section(0x02, LZMA_GUID + struct.pack("<HH", 24, 1) + packed)
    return (bytes(16) + b"\0\0\x0b\0" + (24 + len(body)).to_bytes(3, "little") + b"\xf8" + body).ljust(
        align_up(24 + len(body), 8), b"\xff"
    )


FIRMWARE = bytes(512) + volume(
    named("SecMain", bytes(image(b"", entry=0x100))),
    compressed(
        volume(named("DxeCore", bytes(image(b"", entry=0x200))), named("BdsDxe", bytes(image(b"", entry=0x300))))
    ),
)


def test_names_also_inside_what_is_compressed() -> None:
    found = fvolume.names(FIRMWARE)
    assert sorted(found.values()) == ["BdsDxe", "DxeCore", "SecMain"]


def test_an_image_in_memory_is_recognised_wherever_it_was_loaded() -> None:
    loaded = image(b"", entry=0x300)
    struct.pack_into("<Q", loaded, 0x98 + 24, 0x3F000000)  # ImageBase: the loader changes it
    key = fvolume.image_key(memory((0x3F000000, loaded)), 0x3F000000)
    assert key is not None
    assert fvolume.names(FIRMWARE)[key] == "BdsDxe"


def test_two_names_for_one_image_are_none() -> None:
    twice = volume(named("One", bytes(image(b""))), named("Other", bytes(image(b""))))
    assert fvolume.names(twice) == {}


def test_no_image() -> None:
    assert fvolume.image_key(memory(), 0x1000) is None


@pytest.mark.parametrize("step", [1, 7, 64])
def test_every_cut_and_flip_gives_fewer_names_and_no_error(step: int) -> None:
    whole = fvolume.names(FIRMWARE)
    for end in range(0, len(FIRMWARE), 997 * step):
        assert fvolume.names(FIRMWARE[:end]).items() <= whole.items()
    for at in range(512, 900, step):
        spoilt = bytearray(FIRMWARE)
        spoilt[at] ^= 0xFF
        assert len(fvolume.names(bytes(spoilt))) <= 3


def test_real_firmware() -> None:
    path = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
    if not path.exists():
        pytest.skip(f"{path} is not installed")
    found = set(fvolume.names(path.read_bytes()).values())
    assert {"DxeCore", "RuntimeDxe", "VariableRuntimeDxe", "BdsDxe"} <= found
    assert len(found) > 80
