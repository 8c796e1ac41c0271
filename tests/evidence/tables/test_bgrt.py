"""harness.evidence.acpi and harness.evidence.tables.bgrt"""

import hashlib
import struct

import pytest

from harness.evidence import acpi
from harness.evidence.defect import Defect
from harness.evidence.ranges import Range
from harness.evidence.tables import bgrt
from harness.evidence.tables.bgrt import Bgrt, SysfsBgrt

IMAGE_AT = 0x3D00F000
BMP = struct.pack("<HI", 0x4D42, 1000) + bytes(range(256)) * 3 + bytes(226)


def with_checksum(data: bytes, offset: int = 9) -> bytes:
    changed = bytearray(data)
    changed[offset] = 0
    changed[offset] = -sum(changed) % 256
    return bytes(changed)


def table(signature: bytes, body: bytes) -> bytes:
    header = struct.pack(
        "<4sIBB6s8sI4sI", signature, 36 + len(body), 1, 0, b"INTEL ", b"EDK2    ", 2, b"    ", 0x1000013
    )
    return with_checksum(header + body)


def bgrt_table(version: int = 1, kind: int = 0, address: int = IMAGE_AT) -> bytes:
    return table(b"BGRT", struct.pack("<HBBQII", version, 1, kind, address, 303, 249))


class Memory:
    """Guest memory as the record has it: some pieces."""

    def __init__(self) -> None:
        rsdp = struct.pack("<8sB6sBIIQB3x", b"RSD PTR ", 0, b"BOCHS ", 2, 0x3F77C000, 36, 0x3F77D0E8, 0)
        rsdp = with_checksum(with_checksum(rsdp[:20], 8) + rsdp[20:], 32)
        self.pieces = {
            0x3F77D014: rsdp,
            0x3F77D0E8: table(b"XSDT", struct.pack("<2Q", 0x3F77A000, 0x3F773000)),
            0x3F77A000: table(b"FACP", bytes(208)),
            0x3F773000: bgrt_table(),
        }

    def read(self, address: int, size: int) -> bytes:
        for start, data in self.pieces.items():
            if start <= address < start + len(data):
                return data[address - start :][:size]
        raise LookupError(f"{address:#x}")

    def flip(self, address: int, offset: int) -> None:
        data = bytearray(self.pieces[address])
        data[offset] ^= 0x10
        self.pieces[address] = bytes(data)


def test_walk():
    memory = Memory()
    found = acpi.find_table(memory.read, 0x3F77D014, "BGRT")
    assert isinstance(found, acpi.AcpiTable)
    assert (found.address, found.range) == (0x3F773000, Range.sized(0x3F773000, 0x38))
    every = acpi.tables(memory.read, 0x3F77D014)
    assert not isinstance(every, Defect)
    assert [item.signature for item in every] == ["FACP", "BGRT"]


@pytest.mark.parametrize(
    ("address", "offset", "text"),
    [
        (0x3F77D014, 0, "no valid RSDP"),
        (0x3F77D014, 25, "no valid RSDP"),
        (0x3F77D0E8, 0, "no ACPI table XSDT"),
        (0x3F77D0E8, 40, "checksum of ACPI table XSDT"),
        (0x3F773000, 40, "checksum of ACPI table BGRT"),
        (0x3F773000, 7, "268435512 bytes"),
        (0x3F773000, 1, "absent"),
    ],
)
def test_a_flipped_bit_is_described(address: int, offset: int, text: str):
    memory = Memory()
    memory.flip(address, offset)
    found = acpi.find_table(memory.read, 0x3F77D014, "BGRT")
    assert isinstance(found, Defect)
    assert text in found.text


def test_memory_that_was_not_recorded():
    memory = Memory()
    del memory.pieces[0x3F773000]
    found = acpi.find_table(memory.read, 0x3F77D014, "BGRT")
    assert isinstance(found, Defect)
    assert "0x3f773000-0x3f773003 was not recorded" in found.text
    memory.pieces[0x3F773000] = bgrt_table()[:50]
    found = acpi.find_table(memory.read, 0x3F77D014, "BGRT")
    assert isinstance(found, Defect)
    assert "only in part: 50 of 56 bytes" in found.text


def test_rsdp_from_the_configuration_tables():
    acpi10 = {"eb9d2d30-2d88-11d3-9a16-0090273fc14d": 0x3F77D000}
    assert acpi.find_rsdp({**acpi10, "8868e871-e4f1-11d3-bc22-0080c73c8881": 0x3F77D014}) == 0x3F77D014
    assert isinstance(acpi.find_rsdp(acpi10), Defect)


def test_bgrt():
    parsed = bgrt.parse(bgrt_table())
    assert parsed == Bgrt(1, 1, 0, IMAGE_AT, 303, 249)
    assert bgrt.image_range(parsed, BMP[:6]) == Range.sized(IMAGE_AT, 1000)
    assert bgrt.parse(bgrt_table(version=0)) == Bgrt(0, 1, 0, IMAGE_AT, 303, 249)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bgrt_table()[:40], "Ignoring BGRT: invalid length 40 (expected 56)"),
        (bgrt_table(version=2), "Ignoring BGRT: invalid version 2 (expected 1)"),
        (bgrt_table(kind=1), "Ignoring BGRT: invalid image type 1 (expected 0)"),
        (bgrt_table(address=0), "Ignoring BGRT: null image address"),
        (bgrt_table()[:-1] + b"\xff", ""),
    ],
)
def test_bgrt_refused_as_efi_bgrt_does(data: bytes, message: str):
    defect = bgrt.parse(data)
    assert isinstance(defect, Defect)
    assert defect.kernel_message == message


@pytest.mark.parametrize(
    ("header", "message"),
    [
        # Both were seen: Ubuntu 5.3.0-19 -s, and Debian 6.1.192 -c (zero-filled)
        (bytes.fromhex("75d7aabbccdd"), "Ignoring BGRT: Incorrect BMP magic number 0xd775 (expected 0x4d42)"),
        (bytes(6), "Ignoring BGRT: Incorrect BMP magic number 0x0 (expected 0x4d42)"),
        (struct.pack("<HI", 0x4D42, 2), ""),
        (b"BM", ""),
    ],
)
def test_image_refused(header: bytes, message: str):
    defect = bgrt.image_range(Bgrt(1, 1, 0, IMAGE_AT, 0, 0), header)
    assert isinstance(defect, Defect)
    assert defect.kernel_message == message


FACT = f"""/sys/firmware/acpi/bgrt/status=1
/sys/firmware/acpi/bgrt/type=0
/sys/firmware/acpi/bgrt/version=1
/sys/firmware/acpi/bgrt/xoffset=303
/sys/firmware/acpi/bgrt/yoffset=249
image_size=1000
image_sha256={hashlib.sha256(BMP).hexdigest()}
"""


def test_agreement():
    shown = bgrt.parse_sysfs(FACT)
    assert isinstance(shown, SysfsBgrt)
    assert bgrt.differences(Bgrt(1, 1, 0, IMAGE_AT, 303, 249), BMP, shown) == ()


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("status=1", "status=0", "status is 0 in sysfs, 1"),
        ("type=0", "type=1", "image_type is 1"),
        ("xoffset=303", "xoffset=0", "offset_x is 0"),
        ("image_size=1000", "image_size=999", "999 bytes in sysfs, 1000 in memory"),
        ("image_sha256=", "image_sha256=0", "SHA-256"),
    ],
)
def test_red_comparison(old: str, new: str, text: str):
    (line,) = bgrt.differences(Bgrt(1, 1, 0, IMAGE_AT, 303, 249), BMP, bgrt.parse_sysfs(FACT.replace(old, new)))
    assert text in line


def test_a_flipped_image_byte_is_found():
    image = bytearray(BMP)
    image[500] ^= 1
    (line,) = bgrt.differences(Bgrt(1, 1, 0, IMAGE_AT, 303, 249), bytes(image), bgrt.parse_sysfs(FACT))
    assert "SHA-256" in line


def test_absent_and_broken_facts():
    assert bgrt.parse_sysfs("absent\n") is None
    assert bgrt.differences(Bgrt(1, 1, 0, IMAGE_AT, 0, 0), BMP, None)
    broken = bgrt.parse_sysfs(FACT.replace("xoffset=303\n", "xoffset=x\n").replace("_sha256", "_md5"))
    assert isinstance(broken, Defect)
    assert bgrt.differences(Bgrt(1, 1, 0, IMAGE_AT, 0, 0), BMP, broken) == (broken.text,)


@pytest.mark.parametrize(("width", "height", "size_bytes"), [(1, 1, 58), (3, 2, 54 + 24), (64, 48, 54 + 9216)])
def test_an_image_of_our_own(width: int, height: int, size_bytes: int) -> None:
    """Rows of whole 4 bytes; another seed gives other pixels under the same headers."""
    image = bgrt.make_image(width, height, "1a2b3c4d")
    assert (len(image), bgrt.image_size_bytes(image)) == (size_bytes, size_bytes)
    assert struct.unpack_from("<IIii2H", image, 10) == (54, 40, width, height, 1, 24)
    other = bgrt.make_image(width, height, "1a2b3c4e")
    assert (other[:54] == image[:54], other[54:] == image[54:]) == (True, False)


def test_a_table_of_our_own() -> None:
    built = bytearray(bgrt.build(303, 249))
    assert (len(built), built[9]) == (bgrt.TABLE_BYTES, 0)
    built[bgrt.POINTER_OFFSET : bgrt.POINTER_OFFSET + 8] = IMAGE_AT.to_bytes(8, "little")
    assert bgrt.parse(with_checksum(bytes(built))) == Bgrt(1, 1, 0, IMAGE_AT, 303, 249)
    assert isinstance(bgrt.parse(bytes(built)), Defect), "its checksum is filled in with the address"
