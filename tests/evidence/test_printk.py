from __future__ import annotations

import random
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence.defect import Defect
from harness.evidence.printk import Record, read_log, text_of
from harness.evidence.vmcoreinfo import VmcoreInfo, parse

BASE = 0xFFFFFFFF_82000000
PRB, RING, DESCS, INFOS, TEXT = BASE, BASE + 0x40, BASE + 0x1000, BASE + 0x20000, BASE + 0x80000
MEMORY_BYTES = 0x100000
IDS = 1 << 62
DESC_BYTES, INFO_BYTES = 32, 88
LAYOUT = {
    "SYMBOL(prb)": f"{PRB:x}",
    "SIZE(printk_ringbuffer)": "88",
    "OFFSET(printk_ringbuffer.desc_ring)": "8",
    "OFFSET(printk_ringbuffer.text_data_ring)": "56",
    "SIZE(prb_desc_ring)": "48",
    "OFFSET(prb_desc_ring.count_bits)": "0",
    "OFFSET(prb_desc_ring.descs)": "8",
    "OFFSET(prb_desc_ring.infos)": "16",
    "OFFSET(prb_desc_ring.head_id)": "24",
    "OFFSET(prb_desc_ring.tail_id)": "32",
    "SIZE(prb_desc)": str(DESC_BYTES),
    "OFFSET(prb_desc.state_var)": "8",
    "OFFSET(prb_desc.text_blk_lpos)": "16",
    "OFFSET(prb_data_blk_lpos.begin)": "0",
    "OFFSET(prb_data_blk_lpos.next)": "8",
    "SIZE(printk_info)": str(INFO_BYTES),
    "OFFSET(printk_info.seq)": "0",
    "OFFSET(printk_info.ts_nsec)": "8",
    "OFFSET(printk_info.text_len)": "16",
    "OFFSET(printk_info.caller_id)": "20",
    "OFFSET(prb_data_ring.size_bits)": "0",
    "OFFSET(prb_data_ring.data)": "8",
    "OFFSET(atomic_long_t.counter)": "0",
}


def info_with(**changes: str | None) -> VmcoreInfo:
    values = {**LAYOUT, **{name.replace("__", "."): value for name, value in changes.items()}}
    found = parse("OSRELEASE=x\n" + "".join(f"{key}={value}\n" for key, value in values.items() if value is not None))
    assert isinstance(found, VmcoreInfo)
    return found


@dataclass
class Log:
    """Writes records as the kernel does (prb_reserve(), prb_commit(), data_alloc())."""

    count_bits: int = 4
    size_bits: int = 10
    memory: bytearray = field(default_factory=lambda: bytearray(MEMORY_BYTES))
    seq: int = 0
    ends_at_border: bool = False
    """A block may end exactly where the ring does, as since 6.19."""

    def __post_init__(self) -> None:
        self.position = -(1 << self.size_bits) % 2**64
        self.first_id = IDS - (1 << self.count_bits) - 1
        self.put(PRB, "Q", RING)
        self.put(RING + 8, "I4xQQ", self.count_bits, DESCS, INFOS)
        self.put(RING + 56, "I4xQ", self.size_bits, TEXT)
        self.ends()

    def put(self, address: int, layout: str, *values: int) -> None:
        struct.pack_into("<" + layout, self.memory, address - BASE, *values)

    def ends(self) -> None:
        oldest = max(0, self.seq - (1 << self.count_bits))
        self.put(RING + 8 + 24, "QQ", (self.first_id + max(0, self.seq - 1)) % IDS, (self.first_id + oldest) % IDS)

    def add(self, text: bytes, *, state: int = 2, level: int = 6, facility: int = 0, caller: int = 0) -> None:
        number = (self.first_id + self.seq) % IDS
        index = number % (1 << self.count_bits)
        begin, end = self.block(number, text) if text else (3, 3)
        self.put(DESCS + index * DESC_BYTES + 8, "QQQ", state << 62 | number, begin, end)
        time = 1_000_000_000 + self.seq * 1_500_000
        where = INFOS + index * INFO_BYTES
        self.put(where, "QQHBBI", self.seq, time, len(text), facility, level << 5 | 6, caller)
        self.seq += 1
        self.ends()

    def block(self, number: int, text: bytes) -> tuple[int, int]:
        size = 1 << self.size_bits
        need = -(-(8 + len(text)) // 8) * 8
        begin = self.position
        end = (begin + need) % 2**64
        last = (end - self.ends_at_border) % 2**64
        start = begin % size
        if begin // size != last // size:
            start = 0
            end = (last // size * size + need) % 2**64
        self.put(TEXT + start, "Q", number)
        self.memory[TEXT - BASE + start + 8 : TEXT - BASE + start + 8 + len(text)] = text
        self.position = end
        return begin, end

    def read(self, address: int, size: int) -> bytes | Defect:
        if not BASE <= address <= address + size <= BASE + MEMORY_BYTES:
            return Defect(f"nothing at {address:#x}")
        return bytes(self.memory[address - BASE : address - BASE + size])


def records(log: Log) -> tuple[Record, ...]:
    found = read_log(info_with(), log.read)
    assert isinstance(found, tuple), found
    return found


def refused(log: Log, info: VmcoreInfo | None = None) -> str:
    found = read_log(info or info_with(), log.read)
    assert isinstance(found, Defect)
    return found.text


def filled(texts: Iterable[bytes] = (b"one", b"two", b"three")) -> Log:
    log = Log()
    for text in texts:
        log.add(text)
    return log


class TestWhole:
    def test_records(self) -> None:
        log = filled()
        log.add(b"from user space", level=4, facility=1, caller=77)
        log.add(b"from a CPU", level=0, caller=0x80000003)
        assert records(log) == (
            Record(0, 1.0, 6, 0, "", "one"),
            Record(1, 1.0015, 6, 0, "", "two"),
            Record(2, 1.003, 6, 0, "", "three"),
            Record(3, 1.0045, 4, 1, "T77", "from user space"),
            Record(4, 1.006, 0, 0, "C3", "from a CPU"),
        )

    @pytest.mark.parametrize("ends_at_border", [False, True])
    def test_both_rings_wrap(self, ends_at_border: bool) -> None:
        """Many times, with texts of all lengths; only the newest 16 can be there."""
        chance = random.Random(3)  # noqa: S311
        log = Log(ends_at_border=ends_at_border)
        texts = [bytes(chance.choices(b"abcdefgh", k=chance.randrange(1, 41))) for _ in range(500)]
        for number, text in enumerate(texts):
            log.add(text)
            if number % 7 == 0:
                expected = texts[max(0, number - 15) : number + 1]
                assert [record.text.encode() for record in records(log)] == expected

    def test_block_that_ends_with_the_ring(self) -> None:
        log = Log(ends_at_border=True)
        for _ in range(8):
            log.add(120 * b"x")
        assert [record.text for record in records(log)] == [120 * "x"] * 8

    def test_empty_record_and_strange_bytes(self) -> None:
        log = filled([b"", b"\xff\x00 tail", b"two\nlines"])
        assert [record.text for record in records(log)] == ["", "�\0 tail", "two\nlines"]
        assert text_of(records(log)).endswith("[    1.003000] two\n[    1.003000] lines\n")

    def test_unfinished_and_emptied_records_are_left_out(self) -> None:
        log = Log()
        for state, text in ((2, b"a"), (0, b"b"), (1, b"c"), (3, b"d"), (2, b"e")):
            log.add(text, state=state)
        assert [record.text for record in records(log)] == ["a", "c", "e"]

    def test_record_of_another_round(self) -> None:
        log = filled()
        index = (log.first_id + 1) % IDS % 16
        log.put(DESCS + index * DESC_BYTES + 8, "Q", 2 << 62 | 12345)
        assert [record.text for record in records(log)] == ["one", "three"]

    def test_offsets_come_from_the_kernel(self) -> None:
        """Another layout, and the same memory: nothing is as it was."""
        log = filled()
        moved = info_with(**{"OFFSET(printk_info__seq)": "8", "OFFSET(printk_info__ts_nsec)": "0"})
        found = read_log(moved, log.read)
        assert isinstance(found, tuple)
        assert [(record.sequence, record.time_s) for record in found][1] == (1_001_500_000, 1e-9)


class TestRefused:
    @pytest.mark.parametrize(
        "name", [name for name in LAYOUT if not name.startswith(("SIZE(prb_desc_ring", "SIZE(printk_r"))]
    )
    def test_without_an_offset(self, name: str) -> None:
        assert f"VMCOREINFO has no {name}" in refused(filled(), info_with(**{name: None}))

    @pytest.mark.parametrize("name", [name for name in LAYOUT if name.startswith("OFFSET")])
    def test_absurd_offset(self, name: str) -> None:
        assert name in refused(filled(), info_with(**{name: "4097"}))

    @pytest.mark.parametrize("name", ["SIZE(prb_desc)", "SIZE(printk_info)"])
    def test_structure_smaller_than_its_members(self, name: str) -> None:
        assert "outside of struct" in refused(filled(), info_with(**{name: "23"}))

    @pytest.mark.parametrize(("place", "bits"), [(8, 0), (8, 21), (8, 64), (56, 0), (56, 27), (56, 2**31)])
    def test_absurd_sizes(self, place: int, bits: int) -> None:
        log = filled()
        log.put(RING + place, "I", bits)
        assert "absurdly large or damaged" in refused(log)

    @pytest.mark.parametrize("ends", [(5, 6), (0, 16), (1 << 63, 0), (0, 1 << 63), (IDS - 1, 0)])
    def test_ring_without_end(self, ends: tuple[int, int]) -> None:
        """(newest, oldest): more records than there are descriptors would be read for ever."""
        log = filled()
        log.put(RING + 8 + 24, "QQ", *ends)
        assert "the kernel's log is damaged" in refused(log)

    def test_records_that_share_a_text(self) -> None:
        """Else a million descriptors of one block of 64 KiB would take 64 GiB."""
        log = filled([500 * b"x", b"b", b"c"])
        first = log.first_id % 16
        for other in ((first + 1) % 16, (first + 2) % 16):
            log.put(DESCS + other * DESC_BYTES + 16, "QQ", -1024 % 2**64, -512 % 2**64)
            log.put(INFOS + other * INFO_BYTES + 16, "H", 500)
        assert "share their text" in refused(log)

    @pytest.mark.parametrize("place", [PRB, RING + 16, RING + 24, RING + 64])
    def test_pointer_to_nowhere(self, place: int) -> None:
        log = filled()
        log.put(place, "Q", 0x1234)
        assert "cannot be read: nothing at" in refused(log)

    def test_reader_that_gives_less(self) -> None:
        log = filled()
        found = read_log(info_with(), lambda address, size: bytes(size - 1))
        assert found == Defect(f"only 7 of 8 bytes could be read at {PRB:#x}")
        assert log.seq == 3

    @pytest.mark.parametrize(
        ("begin", "end"), [(8, 8), (16, 8), (0, 1 << 40), (1, 16), (16, 33), (0, 8), (2**64 - 8, 0)]
    )
    def test_positions_that_make_no_sense_have_no_text(self, begin: int, end: int) -> None:
        log = filled()
        log.put(DESCS + log.first_id % 16 * DESC_BYTES + 16, "QQ", begin, end)
        assert [record.text for record in records(log)] == ["", "two", "three"]

    def test_text_longer_than_its_block(self) -> None:
        log = filled()
        log.put(INFOS + log.first_id % 16 * INFO_BYTES + 16, "H", 0xFFFF)
        assert records(log)[0].text == "one\0\0\0\0\0"


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 0x21000), st.integers(0, 255)), max_size=12), st.binary(max_size=64))
def test_any_damage(changes: list[tuple[int, int]], start: bytes) -> None:
    """Never raises; never reads more than the limits."""
    log = filled()
    for place, value in changes:
        log.memory[place] = value
    log.memory[0x48 : 0x48 + len(start)] = start
    total = 0

    def read(address: int, size: int) -> bytes | Defect:
        nonlocal total
        total += size
        assert size <= 1 << 16
        return bytes(log.memory[(address - BASE) % MEMORY_BYTES :][:size]).ljust(size, b"\0")

    found = read_log(info_with(), read)
    assert isinstance(found, Defect) or len(found) <= 1 << 20
    assert total < 256 << 20
