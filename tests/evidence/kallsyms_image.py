"""Kernel images with kallsyms in them, written as scripts/kallsyms.c writes them, in each order that Linux has had."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import StrEnum

from harness.evidence.ranges import align_up

BASE = 0xFFFFFFFF81000000
_HEADERS = 0x1000
Symbol = tuple[int, str, str]


class Layout(StrEnum):
    V5_10 = "5.10"
    V6_1_DEBIAN = "6.1 of Debian"
    V6_12 = "6.12"
    V7_2 = "7.2"


def symbols(count: int = 700) -> list[Symbol]:
    """A small kernel: code, code that is freed, data; with aliases, an odd type, and a name over 127 bytes."""
    found = [(BASE, "T", "startup_64"), (BASE, "T", "_stext"), (BASE, "T", "_text")]
    found += [(BASE + 0x40 * number, "tT"[number % 2], f"do_{number:04}_call") for number in range(1, count)]
    end = BASE + 0x40 * count
    found += [(end, "T", "_etext"), (end + 0x1000, "?", "__nosave_begin"), (end + 0x1000, "D", "a_" + "rust" * 40)]
    found += [(end + 0x2000, "T", "_sinittext"), (end + 0x2000, "t", "start_kernel"), (end + 0x2100, "T", "_einittext")]
    return [*found, (end + 0x3000, "B", "_end")]


def image(layout: Layout, of: Sequence[Symbol], *, absolute: Sequence[Symbol] = ()) -> bytes:
    """An ELF file with one segment. ``absolute`` stand below the kernel (CONFIG_KALLSYMS_ABSOLUTE_PERCPU)."""
    texts = [kind + name for _, kind, name in (*absolute, *of)]
    tokens = _tokens()
    alignment = 4 if layout is Layout.V7_2 else 8
    names, markers = _names(texts, tokens)
    table = b"".join(token + b"\0" for token in tokens)
    index = struct.pack("<256H", *(sum(len(token) + 1 for token in tokens[:number]) for number in range(256)))
    count = struct.pack("<I", len(texts))
    seqs = bytes(3 * len(texts))
    values = [address for address, _, _ in (*absolute, *of)]
    offsets = _based(values, percpu=bool(absolute))
    base = struct.pack("<Q", BASE)
    parts = {
        Layout.V5_10: [offsets, base, count, names, markers, table, index],
        Layout.V6_1_DEBIAN: [offsets, base, count, names, markers, seqs, table, index],
        Layout.V6_12: [count, names, markers, table, index, offsets, base, seqs],
        Layout.V7_2: [count, names, markers, table, index, offsets, seqs],
    }[layout]
    data = bytearray(b"0\x001\x002\x00 other digits, which are no tokens".ljust(_HEADERS + 64, b"\x90"))
    for part in parts:
        data += bytes(align_up(len(data), alignment) - len(data))
        if part is offsets and layout is Layout.V7_2:
            place = BASE + len(data) - _HEADERS
            data += struct.pack(f"<{len(values)}i", *(value - place - 4 * at for at, value in enumerate(values)))
        else:
            data += part
    return _elf_header(len(data)) + bytes(data[0x78:]) + bytes(64)


def _tokens() -> list[bytes]:
    tokens = [bytes([code]) if 0x20 < code < 0x7F else b"" for code in range(256)]
    return [*tokens[:0x80], b"do_", b"_call", b"rust", b"Tdo_", *tokens[0x84:]]


def _names(texts: Sequence[str], tokens: Sequence[bytes]) -> tuple[bytes, bytes]:
    names, markers = bytearray(), bytearray()
    for number, text in enumerate(texts):
        if number % 256 == 0:
            markers += struct.pack("<I", len(names))
        packed = text.encode()
        for code in (0x83, 0x80, 0x81):
            packed = packed.replace(tokens[code], bytes([code]))
        length = len(packed)
        names += bytes([length] if length < 0x80 else [length & 0x7F | 0x80, length >> 7]) + packed
    return bytes(names), bytes(markers)


def _based(values: Sequence[int], *, percpu: bool) -> bytes:
    if percpu:
        return b"".join(struct.pack("<i", value if value < BASE else BASE - value - 1) for value in values)
    return b"".join(struct.pack("<I", value - BASE) for value in values)


def _elf_header(size_bytes: int) -> bytes:
    head = struct.pack("<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 2, 62, 1, BASE, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 5, _HEADERS, BASE, BASE, size_bytes, size_bytes, _HEADERS)
