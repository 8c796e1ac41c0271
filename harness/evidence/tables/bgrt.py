"""The Boot Graphics Resource Table (ACPI 6.5, 5.2.23), its image, and what Linux shows of them."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from harness.evidence.acpi import checksum_ok
from harness.evidence.defect import Defect
from harness.evidence.ranges import Range

TABLE_BYTES = 56
BMP_HEADER_BYTES = 6
"""What one must read at the image's address to know its size."""
POINTER_OFFSET = 40
"""Where in the table the image's address is."""
_BMP_MAGIC = 0x4D42
_BITS_PER_PIXEL = 24
_HEADERS = struct.Struct("<HIHHI IiiHHIIiiII")
"""BITMAPFILEHEADER, then BITMAPINFOHEADER."""
_FIELDS = struct.Struct("<HBBQII")
_ABSENT = "absent"


@dataclass(frozen=True)
class Bgrt:
    version: int
    status: int
    image_type: int
    image_address: int
    offset_x: int
    offset_y: int


@dataclass(frozen=True)
class SysfsBgrt:
    """/sys/firmware/acpi/bgrt, with the image's hash in place of the image."""

    version: int
    status: int
    image_type: int
    offset_x: int
    offset_y: int
    image_size_bytes: int
    image_sha256: str


def make_image(width: int, height: int, seed: str) -> bytes:
    """An uncompressed bitmap of ``width`` by ``height`` pixels, of noise that ``seed`` alone decides."""
    row_bytes = -(-width * _BITS_PER_PIXEL // 32) * 4
    pixels = hashlib.shake_128(seed.encode()).digest(row_bytes * height)
    size_bytes = _HEADERS.size + len(pixels)
    file_header = (_BMP_MAGIC, size_bytes, 0, 0, _HEADERS.size)
    info_header = (40, width, height, 1, _BITS_PER_PIXEL, 0, len(pixels), 0, 0, 0, 0)
    return _HEADERS.pack(*file_header, *info_header) + pixels


def build(offset_x: int = 0, offset_y: int = 0) -> bytes:
    """The ACPI table for a bitmap that was drawn (status 1), its address and checksum still to be filled in."""
    header = struct.pack("<4sIBB6s8sI4sI", b"BGRT", TABLE_BYTES, 1, 0, b"HARNES", b"HARNESS ", 1, b"HRNS", 1)
    return header + _FIELDS.pack(1, 1, 0, 0, offset_x, offset_y)


def parse(table: bytes) -> Bgrt | Defect:
    """Decode the ACPI table (header included), accepting and refusing what efi_bgrt_init() does.

    Version 0 is accepted since Linux 5.7; the reserved status bits are not looked at since 5.2.
    """
    if len(table) < TABLE_BYTES:
        return Defect(
            f"the BGRT has {len(table)} bytes, not {TABLE_BYTES}",
            f"Ignoring BGRT: invalid length {len(table)} (expected {TABLE_BYTES})",
        )
    if table[:4] != b"BGRT" or not checksum_ok(table[: int.from_bytes(table[4:8], "little")]):
        return Defect(f"not a BGRT, or its checksum is wrong: {table[:4]!r}")
    bgrt = Bgrt(*_FIELDS.unpack_from(table, 36))
    if bgrt.version > 1:
        return Defect(
            f"the BGRT's version is {bgrt.version}, not 1",
            f"Ignoring BGRT: invalid version {bgrt.version} (expected 1)",
        )
    if bgrt.image_type != 0:
        return Defect(
            f"the BGRT's image type is {bgrt.image_type}, not 0 (bitmap)",
            f"Ignoring BGRT: invalid image type {bgrt.image_type} (expected 0)",
        )
    if not bgrt.image_address:
        return Defect("the BGRT's image address is null", "Ignoring BGRT: null image address")
    return bgrt


def image_size_bytes(header: bytes) -> int | Defect:
    """The size a BMP header claims, from its first 6 bytes: magic 0x4d42, then a little-endian 32-bit size."""
    if len(header) < BMP_HEADER_BYTES:
        return Defect(f"{len(header)} bytes do not hold a BMP header")
    magic, size_bytes = struct.unpack_from("<HI", header)
    if magic != _BMP_MAGIC:
        return Defect(
            f"the image begins with {magic:#06x}, not the BMP magic 0x4d42",
            f"Ignoring BGRT: Incorrect BMP magic number 0x{magic:x} (expected 0x4d42)",
        )
    if size_bytes < BMP_HEADER_BYTES:
        return Defect(f"the BMP header claims {size_bytes} bytes for the whole image")
    return int(size_bytes)


def image_range(bgrt: Bgrt, header: bytes) -> Range | Defect:
    """Where the image lies: from the table's address, as long as the BMP header at that address says."""
    size_bytes = image_size_bytes(header)
    return size_bytes if isinstance(size_bytes, Defect) else Range.sized(bgrt.image_address, size_bytes)


def parse_sysfs(text: str) -> SysfsBgrt | Defect | None:
    """Decode the guest's ``bgrt`` fact; None when the guest says ``absent``.

    The fact is a ``path=value`` line a file below /sys/firmware/acpi/bgrt (version, status, type, xoffset, yoffset)
    and the agent's own ``image_size=`` and ``image_sha256=``.
    """
    if text.strip() == _ABSENT:
        return None
    pairs = (line.strip().partition("=")[::2] for line in text.splitlines() if "=" in line)
    values = {path.rpartition("/")[2]: value.strip() for path, value in pairs}
    try:
        return SysfsBgrt(
            version=int(values["version"]),
            status=int(values["status"]),
            image_type=int(values["type"]),
            offset_x=int(values["xoffset"]),
            offset_y=int(values["yoffset"]),
            image_size_bytes=int(values["image_size"]),
            image_sha256=values["image_sha256"].lower(),
        )
    except KeyError as error:
        return Defect(f"the bgrt fact lacks {error.args[0]}")
    except ValueError as error:
        return Defect(f"the bgrt fact has a bad value: {error}")


def differences(bgrt: Bgrt, image: bytes, sysfs: SysfsBgrt | Defect | None) -> tuple[str, ...]:
    """What the kernel shows otherwise than the table and image say, one line each; empty when all agrees.

    Args:
        image: the image's bytes as read from outside, all of ``image_range``.
    """
    if sysfs is None:
        return ("the kernel shows no BGRT in /sys/firmware/acpi/bgrt",)
    if isinstance(sysfs, Defect):
        return (sysfs.text,)
    found = [
        f"{name} is {getattr(sysfs, name)} in sysfs, {getattr(bgrt, name)} in the table"
        for name in ("version", "status", "image_type", "offset_x", "offset_y")
        if getattr(sysfs, name) != getattr(bgrt, name)
    ]
    if sysfs.image_size_bytes != len(image):
        found.append(f"the image has {sysfs.image_size_bytes} bytes in sysfs, {len(image)} in memory")
    digest = hashlib.sha256(image).hexdigest()
    if sysfs.image_sha256 != digest:
        found.append(f"the image's SHA-256 is {sysfs.image_sha256} in sysfs, {digest} in memory")
    return tuple(found)
