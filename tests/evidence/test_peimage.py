"""PE images in memory: found from an address, named, and every damage refused."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from harness.evidence.code import peimage
from harness.evidence.code.peimage import PeImage
from harness.evidence.defect import Defect

BASE = 0x3F000000
SIZE = 0x4000
PATH = rb"/build/edk2/Build/OvmfX64/RELEASE_GCC5/X64/DxeCore/DEBUG/DxeCore.dll"


def image(path: bytes = PATH, *, kind: bytes = b"RSDS", size: int = SIZE, entry: int = 0x1234) -> bytearray:
    """A loaded PE32+ image with a debug directory at 0x2000."""
    data = bytearray(SIZE)
    data[:2] = b"MZ"
    struct.pack_into("<I", data, 0x3C, 0x80)
    data[0x80:0x84] = b"PE\0\0"
    struct.pack_into("<HHIIIHH", data, 0x84, 0x8664, 2, 0, 0, 0, 240, 0x222E)
    struct.pack_into("<H", data, 0x98, 0x20B)
    struct.pack_into("<I", data, 0x98 + 16, entry)
    struct.pack_into("<I", data, 0x98 + 56, size)
    struct.pack_into("<I", data, 0x98 + 108, 16)
    if path:
        struct.pack_into("<II", data, 0x98 + 112 + 8 * 6, 0x2000, 28)
        struct.pack_into("<IIHHIIII", data, 0x2000, 0, 0, 0, 0, 2, 200, 0x2100, 0x2100)
        lead = {b"RSDS": 24, b"NB10": 16, b"MTOC": 20}.get(kind, 24)
        data[0x2100 : 0x2100 + lead + len(path) + 1] = kind.ljust(lead, b"\1") + path + b"\0"
    return data


def memory(*pieces: tuple[int, bytes | bytearray]) -> Callable[[int, int], bytes]:
    def read(address: int, size_bytes: int) -> bytes:
        data = bytearray(size_bytes)
        for start, piece in pieces:
            first, last = max(start, address), min(start + len(piece), address + size_bytes)
            if first < last:
                data[first - address : last - address] = piece[first - start : last - start]
        return bytes(data)

    return read


@pytest.mark.parametrize("kind", [b"RSDS", b"NB10", b"MTOC"])
def test_named_by_its_debug_path(kind: bytes) -> None:
    found = peimage.containing(memory((BASE, image(kind=kind))), BASE + 0x1500)
    assert isinstance(found, PeImage)
    assert (found.range.start, found.range.size_bytes, found.entry) == (BASE, SIZE, BASE + 0x1234)
    assert found.name == "DxeCore"


def test_without_a_debug_directory() -> None:
    found = peimage.parse(memory((BASE, image(b""))), BASE)
    assert isinstance(found, PeImage)
    assert found.name == ""


def test_the_nearest_that_reaches_the_address() -> None:
    read = memory((BASE, image(b"a/Far.dll")), (BASE + SIZE, image(b"b/Near.dll")))
    near = peimage.containing(read, BASE + SIZE + 0x10)
    far = peimage.containing(read, BASE + SIZE - 1)
    assert isinstance(near, PeImage)
    assert isinstance(far, PeImage)
    assert (near.name, far.name) == ("Near", "Far")
    assert isinstance(peimage.containing(read, BASE + 2 * SIZE), Defect)


def test_an_address_with_nothing_before_it() -> None:
    assert isinstance(peimage.containing(memory(), 0), Defect)
    assert isinstance(peimage.containing(lambda _address, _size: b"", BASE), Defect)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: struct.pack_into("<I", data, 0x3C, 0xFFFFFFF0),
        lambda data: struct.pack_into("<I", data, 0x3C, 0x82),
        lambda data: struct.pack_into("<I", data, 0x80, 0),
        lambda data: struct.pack_into("<H", data, 0x84, 0xAA64),
        lambda data: struct.pack_into("<H", data, 0x98, 0x107),
        lambda data: struct.pack_into("<I", data, 0x98 + 56, 0xFFFFFFFF),
        lambda data: struct.pack_into("<I", data, 0x98 + 56, 0),
        lambda data: struct.pack_into("<I", data, 0x98 + 16, SIZE),
        lambda data: struct.pack_into("<H", data, 0, 0),
    ],
)
def test_damage_is_refused(spoil: Callable[[bytearray], None]) -> None:
    data = image()
    spoil(data)
    assert isinstance(peimage.parse(memory((BASE, data)), BASE), Defect)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: struct.pack_into("<I", data, 0x2000 + 12, 99),
        lambda data: struct.pack_into("<I", data, 0x2000 + 20, 0xFFFFFFF0),
        lambda data: struct.pack_into("<II", data, 0x98 + 112 + 48, 0xFFFFFFF0, 28),
        lambda data: struct.pack_into("<II", data, 0x98 + 112 + 48, 0x2000, 0xFFFFFFF0),
        lambda data: struct.pack_into("<I", data, 0x98 + 108, 2),
        lambda data: data.__setitem__(slice(0x2100, 0x2104), b"XXXX"),
        lambda data: data.__setitem__(slice(0x2118, 0x2120), b"\1\2\3\4\5\6\7\x08"),
    ],
)
def test_a_damaged_debug_directory_costs_the_name_only(spoil: Callable[[bytearray], None]) -> None:
    data = image()
    spoil(data)
    found = peimage.parse(memory((BASE, data)), BASE)
    assert isinstance(found, PeImage)
    assert found.name == ""


def test_a_header_that_is_cut_off() -> None:
    whole = image()
    for end in (0, 1, 2, 63, 64, 0x80, 0x84, 0x98, 0x100, 0x17F):
        assert isinstance(peimage.parse(lambda _a, _s, end=end: bytes(whole[:end]), BASE), Defect)  # type: ignore[misc]
