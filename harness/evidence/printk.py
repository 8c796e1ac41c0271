"""The kernel's log, read from its memory by VMCOREINFO alone.

Since 5.10 the log is a lockless ring buffer (kernel/printk/printk_ringbuffer.h): a ring of descriptors, one
``printk_info`` beside each, and a ring of text blocks. A descriptor names its text by logical positions, which count
on for ever and are taken modulo the ring's size.

Used for a vmcore and for the memory of a live, stopped guest; so every number is doubted.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.evidence.defect import Defect
from harness.evidence.vmcoreinfo import VmcoreInfo

ReadVirtual = Callable[[int, int], bytes | Defect]
"""(virtual address, size in bytes) to exactly that many bytes."""
MAX_COUNT_BITS = 20
MAX_SIZE_BITS = 26
"""64 MiB of text; CONFIG_LOG_BUF_SHIFT goes to 25, and the kernel makes one descriptor for 32 bytes of text."""
_ID_BITS = 62
_STATES_WITH_TEXT = (1, 2)  # committed, finalized; 0 is reserved (still being written), 3 reusable (emptied)
_CHUNK_BYTES = 64 * 1024
_CALLER_IS_CPU = 0x80000000


@dataclass(frozen=True)
class Record:
    """One message."""

    sequence: int
    time_s: float
    level: int
    """0 (emergency) to 7 (debug)."""
    facility: int
    """0 is the kernel; others come from user space by /dev/kmsg."""
    caller: str
    """``T123`` for a task, ``C1`` for a CPU outside of task context; empty when the kernel does not keep it."""
    text: str
    """Without the newline at its end; it may have others inside."""


@dataclass(frozen=True)
class _Ring:
    """Where everything is; addresses are virtual."""

    count: int
    descs: int
    infos: int
    head: int
    tail: int
    text_bytes: int
    text: int


class _Unreadable(Exception):
    """Carries a Defect up to read_log()."""

    def __init__(self, defect: Defect) -> None:
        self.defect = defect


def read_log(info: VmcoreInfo, read_virtual: ReadVirtual) -> tuple[Record, ...] | Defect:
    """All messages still in the kernel's buffer, oldest first.

    A record that was still being written when the kernel stopped is left out, as ``dmesg`` would.

    Args:
        read_virtual: the kernel's memory by virtual address.

    Returns:
        The records, or why there are none: no such log in this kernel (before 5.10), memory that is not there, or
        numbers that no kernel would have. Reads at most 64 MiB of text and 2^20 descriptors.
    """
    reader = _Reader(info, read_virtual)
    try:
        ring = _ring(reader)
        return tuple(_records(reader, ring))
    except _Unreadable as stop:
        return stop.defect


def text_of(records: tuple[Record, ...]) -> str:
    """As ``dmesg`` prints them: ``[    1.234567] text``, each line of a record with its own time."""
    lines = [f"[{record.time_s:12.6f}] {line}" for record in records for line in record.text.split("\n")]
    return "".join(line + "\n" for line in lines)


class _Reader:
    """Offsets by name, memory by address; what is missing ends the reading."""

    def __init__(self, info: VmcoreInfo, read_virtual: ReadVirtual) -> None:
        self.info = info
        self._read = read_virtual

    def offset(self, name: str) -> int:
        return self._known(self.info.offset(name), f"OFFSET({name})", 4096)

    def size(self, name: str) -> int:
        return self._known(self.info.size(name), f"SIZE({name})", 4096)

    def _known(self, value: int | None, name: str, limit: int) -> int:
        if value is None:
            raise _Unreadable(Defect(f"VMCOREINFO has no {name}"))
        if not 0 <= value <= limit:
            raise _Unreadable(Defect(f"VMCOREINFO's {name} is absurd: {value}"))
        return value

    def at(self, address: int, size: int) -> bytes:
        data = self._read(address % 2**64, size)
        if isinstance(data, Defect):
            raise _Unreadable(Defect(f"the kernel's log cannot be read: {data.text}"))
        if len(data) != size:
            raise _Unreadable(Defect(f"only {len(data)} of {size} bytes could be read at {address:#x}"))
        return data

    def number(self, address: int, size: int) -> int:
        return int.from_bytes(self.at(address, size), "little")

    def array(self, address: int, item_bytes: int, count: int, first: int, wanted: int) -> Iterator[bytes]:
        """``wanted`` elements of an array of ``count``, round and round, in pieces of moderate size."""
        at_once = max(1, _CHUNK_BYTES // item_bytes)
        while wanted > 0:
            number = min(wanted, at_once, count - first)
            data = self.at(address + first * item_bytes, number * item_bytes)
            yield from (data[place : place + item_bytes] for place in range(0, len(data), item_bytes))
            first, wanted = (first + number) % count, wanted - number


def _ring(reader: _Reader) -> _Ring:
    """Follow ``prb`` to the three arrays."""
    symbol = reader.info.symbol("prb")
    if symbol is None:
        raise _Unreadable(Defect("VMCOREINFO has no SYMBOL(prb): the kernel is older than 5.10 or has no printk"))
    counter = reader.offset("atomic_long_t.counter")
    prb = reader.number(symbol, 8)
    desc_ring = prb + reader.offset("printk_ringbuffer.desc_ring")
    data_ring = prb + reader.offset("printk_ringbuffer.text_data_ring")
    count_bits = reader.number(desc_ring + reader.offset("prb_desc_ring.count_bits"), 4)
    size_bits = reader.number(data_ring + reader.offset("prb_data_ring.size_bits"), 4)
    if not 1 <= count_bits <= MAX_COUNT_BITS or not 1 <= size_bits <= MAX_SIZE_BITS:
        found = f"2^{count_bits} descriptors and 2^{size_bits} bytes of text"
        raise _Unreadable(Defect(f"the kernel's log is absurdly large or damaged: {found}"))
    ring = _Ring(
        count=1 << count_bits,
        descs=reader.number(desc_ring + reader.offset("prb_desc_ring.descs"), 8),
        infos=reader.number(desc_ring + reader.offset("prb_desc_ring.infos"), 8),
        head=reader.number(desc_ring + reader.offset("prb_desc_ring.head_id") + counter, 8),
        tail=reader.number(desc_ring + reader.offset("prb_desc_ring.tail_id") + counter, 8),
        text_bytes=1 << size_bits,
        text=reader.number(data_ring + reader.offset("prb_data_ring.data"), 8),
    )
    # Ids wrap at 2^62; they begin near there, so that the wrap is exercised at each boot (DESC0_ID()).
    if max(ring.head, ring.tail) >> _ID_BITS or (ring.head - ring.tail) % (1 << _ID_BITS) >= ring.count:
        ends = f"its oldest record is {ring.tail:#x}, its newest {ring.head:#x}"
        raise _Unreadable(Defect(f"the kernel's log is damaged: {ends}, and there are {ring.count}"))
    return ring


def _records(reader: _Reader, ring: _Ring) -> Iterator[Record]:
    wanted = (ring.head - ring.tail) % (1 << _ID_BITS) + 1
    desc_bytes, info_bytes = reader.size("prb_desc"), reader.size("printk_info")
    state_at = reader.offset("prb_desc.state_var") + reader.offset("atomic_long_t.counter")
    block_at = reader.offset("prb_desc.text_blk_lpos")
    begin_at = block_at + reader.offset("prb_data_blk_lpos.begin")
    next_at = block_at + reader.offset("prb_data_blk_lpos.next")
    if max(state_at, begin_at, next_at) + 8 > desc_bytes:
        raise _Unreadable(Defect("VMCOREINFO's offsets point outside of struct prb_desc"))
    decode = _decoder(reader, info_bytes, _Text(reader, ring))
    first = ring.tail % ring.count
    left = ring.text_bytes
    descs = reader.array(ring.descs, desc_bytes, ring.count, first, wanted)
    infos = reader.array(ring.infos, info_bytes, ring.count, first, wanted)
    for number, (desc, raw) in enumerate(zip(descs, infos, strict=True)):
        state, number_there = divmod(_u64(desc, state_at), 1 << _ID_BITS)
        if number_there != (ring.tail + number) % (1 << _ID_BITS) or state not in _STATES_WITH_TEXT:
            continue
        record = decode(raw, _u64(desc, begin_at), _u64(desc, next_at))
        left -= len(record.text)
        if left < 0:
            raise _Unreadable(Defect("the kernel's log is damaged: its records share their text"))
        yield record


def _decoder(reader: _Reader, info_bytes: int, text: _Text) -> Callable[[bytes, int, int], Record]:
    """From a ``struct printk_info`` and its text's positions to a Record.

    ``text_len`` is followed by ``u8 facility; u8 flags:5, level:3``, which VMCOREINFO does not name; they have not
    moved since 5.10.
    """
    seq, time, length, caller = (
        reader.offset(f"printk_info.{name}") for name in ("seq", "ts_nsec", "text_len", "caller_id")
    )
    if max(seq + 8, time + 8, length + 4, caller + 4) > info_bytes:
        raise _Unreadable(Defect("VMCOREINFO's offsets point outside of struct printk_info"))

    def decode(raw: bytes, begin: int, end: int) -> Record:
        text_len, facility, flags = struct.unpack_from("<HBB", raw, length)
        return Record(
            sequence=_u64(raw, seq),
            time_s=_u64(raw, time) / 1e9,
            level=flags >> 5,
            facility=facility,
            caller=_caller(struct.unpack_from("<I", raw, caller)[0]),
            text=text.block(begin, end, text_len).decode(errors="replace"),
        )

    return decode


def _caller(number: int) -> str:
    """printk_caller_id(): a task's pid, or a CPU's number with the top bit set. Zero without CONFIG_PRINTK_CALLER."""
    if number == 0:
        return ""
    return f"C{number - _CALLER_IS_CPU}" if number & _CALLER_IS_CPU else f"T{number}"


class _Text:
    """The ring of text blocks, of which the last piece read is kept."""

    def __init__(self, reader: _Reader, ring: _Ring) -> None:
        self._reader, self._ring = reader, ring
        self._start, self._data = 0, b""

    def block(self, begin: int, end: int, text_bytes: int) -> bytes:
        """The text of the block at the logical positions ``begin`` to ``end``; empty for a record without text.

        A block begins with its descriptor's id (8 bytes) and never lies across the end of the ring: one that would
        not fit is put at the ring's start, id included (get_data() in kernel/printk/printk_ringbuffer.c). A record
        whose positions are odd never had a block (LPOS_DATALESS()), and one whose positions make no sense was being
        reused.
        """
        size = self._ring.text_bytes
        if begin & 1 or end & 1 or not 0 < (end - begin) % 2**64 <= 2 * size:
            return b""
        # Positions begin near 2^64 and wrap (BLK0_LPOS()). Since 6.19 a block may end exactly where the ring does.
        last = (end - 1) % 2**64
        start = begin % size if begin // size == last // size else 0
        room = last % size + 1 - start - 8
        return self._piece(start + 8, min(text_bytes, room)) if room > 0 else b""

    def _piece(self, start: int, size: int) -> bytes:
        if not self._start <= start or start + size > self._start + len(self._data):
            self._start = start
            wanted = min(max(_CHUNK_BYTES, size), self._ring.text_bytes - start)
            self._data = self._reader.at(self._ring.text + start, wanted)
        return self._data[start - self._start :][:size]


def _u64(data: bytes, offset: int) -> int:
    value: int = struct.unpack_from("<Q", data, offset)[0]
    return value
