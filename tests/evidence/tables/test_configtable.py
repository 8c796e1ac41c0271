"""The list of configuration tables, by the EFI agent's report and by memory."""

from __future__ import annotations

import struct
import uuid

import pytest

from harness.evidence.defect import Defect
from harness.evidence.tables.configtable import ENTRY_BYTES, address_of, parse_array, parse_listing
from harness.model import guids

TABLES = {guids.ESRT: 0x39FFF100, guids.ACPI20: 0x3F77D014, guids.MEMATTR: 0xFFFF_FFFF_FFFF_FFFF}
LISTING = "".join(f"{guid} {address:#x}\n" for guid, address in TABLES.items())


def array(*entries: tuple[str, int]) -> bytes:
    return b"".join(uuid.UUID(guid).bytes_le + struct.pack("<Q", address) for guid, address in entries)


def test_both_ways_give_the_same_list_in_its_order() -> None:
    for found in (parse_listing(LISTING), parse_array(array(*TABLES.items()))):
        assert not isinstance(found, Defect)
        assert list(found.items()) == list(TABLES.items())


@pytest.mark.parametrize(
    "text", [LISTING.upper().replace("0X", "0x"), f"\n{LISTING}\n", LISTING.replace("\n", " \r\n")]
)
def test_a_listing_that_says_the_same(text: str) -> None:
    assert parse_listing(text) == TABLES


def test_no_tables() -> None:
    assert (parse_listing(""), parse_array(b"")) == ({}, {})


@pytest.mark.parametrize(
    "line",
    [
        "8868e871-e4f1-11d3-bc22-0080c73c8881 none",
        "8868e871-e4f1-11d3-bc22-0080c73c8881",
        "8868e871-e4f1-11d3-bc22-0080c73c8881 3f77d014",
        "8868e871-e4f1-11d3-bc22-0080c73c8881 0x3f77d014 more",
        "8868e871-e4f1-11d3-bc22-0080c73c888 0x3f77d014",
        "8868e871-e4f1-11d3-bc22-0080c73c8881 0x1ffffffffffffffff",
    ],
)
def test_a_line_that_is_none(line: str) -> None:
    found = parse_listing(f"{LISTING}{line}\n")
    assert isinstance(found, Defect)
    assert repr(line) in found.text


def test_an_entry_that_is_cut_off() -> None:
    data = array(*TABLES.items())
    assert list(parse_array(data[:-1])) == list(TABLES)[:2]
    assert ENTRY_BYTES == 24


def test_of_a_guid_that_stands_twice_the_first_counts() -> None:
    twice = [*TABLES.items(), (guids.ESRT, 0x1000)]
    assert parse_listing("".join(f"{guid} {address:#x}\n" for guid, address in twice)) == TABLES
    assert parse_array(array(*twice)) == TABLES


def test_the_address_of_one() -> None:
    assert address_of(TABLES, guids.ESRT) == 0x39FFF100
    assert isinstance(address_of(TABLES, guids.INITRD), Defect)
