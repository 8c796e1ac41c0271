"""harness.evidence.logbook; the page is put together here from the offsets in docs/link-protocol.md."""

from __future__ import annotations

import struct

import pytest

from harness.evidence.defect import Defect
from harness.evidence.logbook import LOGBOOK_BYTES, DriverPhase, Logbook, ServiceLog, parse
from harness.model.words.driver import Fault, Service, Target

HEADER = {
    0x08: 1,  # version
    0x10: 44,  # sequence
    0x18: 0x1A2B3C4D,  # nonce
    0x20: 2,  # phase
    0x28: 0,  # looping
    0x30: 7,  # spins
    0x38: 3,  # commands
    0x40: 2,  # refused
    0x48: 8,  # pointer bytes
    0x50: 0x3F51B000,
    0x58: 0xFFFFFFFEFF11B000,
    0x60: 0x3F654000,
    0x68: 0xFFFFFFFEFF254000,
    0x70: 0x4000,
    0x78: 0x1000,
    0x80: 0x1000,
    0x88: 0x3000,
    0x90: 0x1000,
}
GET_TIME = 0x300


def page(changes: dict[int, int] | None = None) -> bytes:
    data = bytearray(LOGBOOK_BYTES)
    data[:8] = b"HRNSLOGB"
    numbers = dict(HEADER)
    for place in range(6):
        numbers[0x100 + 8 * place] = 0x10000 * (place + 1)
        numbers[0x180 + 8 * place] = 0x10000 * (place + 1) + 2**40
    for place in range(19):
        numbers[GET_TIME + 8 * place] = 0x1000 + place
    numbers |= {GET_TIME: 1, GET_TIME + 8: 11, GET_TIME + 56: 3}
    for offset, number in (numbers | (changes or {})).items():
        struct.pack_into("<Q", data, offset, number)
    return bytes(data)


def good(changes: dict[int, int] | None = None) -> Logbook:
    found = parse(page(changes))
    assert isinstance(found, Logbook), found
    return found


def test_header() -> None:
    book = good()
    assert (book.sequence, book.nonce, book.phase, book.looping) == (44, "1a2b3c4d", DriverPhase.VIRTUAL, None)
    assert (book.spins, book.commands, book.refused, book.pointer_bytes) == (7, 3, 2, 8)
    assert (book.logbook_address, book.logbook_used) == (0x3F51B000, 0xFFFFFFFEFF11B000)
    assert (book.image.address, book.image.used, book.image.size_bytes) == (0x3F654000, 0xFFFFFFFEFF254000, 0x4000)
    image = book.image
    assert (image.code_offset, image.code_bytes, image.data_offset, image.data_bytes) == (
        0x1000,
        0x1000,
        0x3000,
        0x1000,
    )


def test_targets() -> None:
    book = good()
    assert book.targets == {target: 0x10000 * number for number, target in enumerate(Target, 1)}
    assert book.targets_used == {target: address + 2**40 for target, address in book.targets.items()}


def test_a_service() -> None:
    log = good().services[Service.GET_TIME]
    assert log == ServiceLog(
        hooked=True,
        armed=Fault.LOOP,
        calls=0x1002,
        runtime_calls=0x1003,
        returns=0x1004,
        faults=0x1005,
        survived=0x1006,
        last_fault=Fault.READ_CONVENTIONAL,
        fault_address=0x1008,
        fault_value=0x1009,
        status=0x100A,
        cr0=0x100B,
        cr3=0x100C,
        cr4=0x100D,
        rflags=0x100E,
        cs=0x100F,
        stack=0x1010,
        address=0x1011,
        caller=0x1012,
    )
    assert not good().services[Service.SET_VARIABLE].hooked


def test_registers() -> None:
    log = good({GET_TIME + 96: 0x8000000004DBA005, GET_TIME + 112: 0x246, GET_TIME + 120: 0x10}).services[
        Service.GET_TIME
    ]
    assert log.page_table == 0x4DBA000, "PCID and the bit that keeps the TLB are no address"
    assert (log.rflags, log.cs) == (0x246, 0x10)


def test_looping() -> None:
    assert good({0x28: 1}).looping is Service.SET_VARIABLE
    assert good({0x28: 4}).looping is Service.RESET_SYSTEM
    assert good({0x20: 0}).phase is DriverPhase.BOOT
    assert good({0x48: 4}).pointer_bytes == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({0x00: 0}, "was overwritten"),
        ({0x08: 2}, "version 2, not 1"),
        ({0x10: 45}, "in the middle of change 45"),
        ({0x20: 3}, "damaged: phase 3"),
        ({0x28: 5}, "looping 5"),
        ({0x48: 0}, "pointers 0"),
        ({0x18: 2**32}, "damaged"),
        ({GET_TIME: 2}, "damaged at get-time: hooked 2"),
        ({GET_TIME + 8: len(Fault)}, f"damaged at get-time: hooked 1, faults {len(Fault)}"),
        ({GET_TIME + 56: 2**63}, "damaged at get-time"),
    ],
)
def test_damage(changes: dict[int, int], message: str) -> None:
    found = parse(page(changes))
    assert isinstance(found, Defect)
    assert message in str(found)


def test_too_short() -> None:
    assert parse(page()[:-1]) == Defect("4095 bytes do not hold the 4096 bytes of the driver's logbook")
    assert isinstance(parse(page() + b"more"), Logbook)


def test_every_byte_pattern_gives_a_value_or_a_defect() -> None:
    for byte in (0x00, 0xFF, 0x5A):
        assert isinstance(parse(bytes([byte]) * LOGBOOK_BYTES), Defect)
