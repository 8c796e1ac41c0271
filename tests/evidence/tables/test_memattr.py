"""harness.evidence.tables.memattr; wordings and limits of drivers/firmware/efi/memattr.c (7.x)"""

import struct

import pytest

from harness.evidence.defect import Defect
from harness.evidence.tables import memattr
from harness.evidence.tables.memattr import Memattr


def header(version: int = 1, count: int = 10, size: int = 48, flags: int = 0) -> bytes:
    return struct.pack("<IIII", version, count, size, flags)


@pytest.mark.parametrize("version", [1, 2])
def test_good(version: int):
    table = memattr.parse(header(version) + b"descriptors")
    assert table == Memattr(version, 10, 48, 0)
    assert table.size_bytes == 16 + 480


@pytest.mark.parametrize(
    ("data", "message"),
    [
        # Seen on Ubuntu 5.3.0-19 after kexec
        (struct.pack("<iIII", -595957390, 1, 48, 0), "Unexpected EFI Memory Attributes table version -595957390"),
        (struct.pack("<iIII", 164127731, 1, 48, 0), "Unexpected EFI Memory Attributes table version 164127731"),
        # https://lore.kernel.org/linux-efi/20250108215957.3437660-1-usamaarif642@gmail.com
        # (desc_size is looked at first)
        (header(1, 3248688968, 2072184435), "Unexpected EFI Memory Attributes descriptor size 2072184435"),
        (header(1, 10, 39), "Unexpected EFI Memory Attributes descriptor size 39"),
        (
            header(1, 65537, 48),
            "[Firmware Bug]: Corrupted EFI Memory Attributes Table detected! "
            "(version == 1, desc_size == 48, num_entries == 65537)",
        ),
        (bytes(16), ""),
        (header()[:15], ""),
    ],
)
def test_refused(data: bytes, message: str):
    defect = memattr.parse(data)
    assert isinstance(defect, Defect)
    assert defect.kernel_message == message


def test_zeros_are_named():
    defect = memattr.parse(bytes(4096))
    assert isinstance(defect, Defect)
    assert "all zeros" in defect.text


def test_descriptors_larger_than_those_of_the_memory_map():
    assert memattr.parse(header(), 48) == Memattr(1, 10, 48, 0)
    assert isinstance(memattr.parse(header(), 40), Defect)
