from __future__ import annotations

import random
import struct

import pytest

from harness.evidence.code import elfsymbols
from harness.evidence.code.symbols import SymbolTable
from harness.evidence.defect import Defect

from .kallsyms_image import BASE

_TEXT, _DATA, _BSS, _ABSOLUTE = 1, 2, 3, 0xFFF1
_ALLOC, _WRITE, _EXECUTE = 2, 1, 4
SYMBOLS = [
    ("_text", BASE, _TEXT, 0x10),
    ("panic", BASE + 0x40, _TEXT, 0x12),
    ("weak_one", BASE + 0x40, _TEXT, 0x22),
    ("__quiet", BASE + 0x40, _TEXT, 0x02),
    ("_etext", BASE + 0x80, _TEXT, 0x10),
    ("jiffies", BASE + 0x1000, _DATA, 0x11),
    ("log_buf", BASE + 0x2000, _BSS, 0x01),
    ("_end", BASE + 0x3000, _BSS, 0x10),
    ("cpu_number", 0x1000, _ABSOLUTE, 0x10),
    (".LC0", BASE + 0x1008, _DATA, 0x00),
    ("file.c", 0, _ABSOLUTE, 0x04),
    ("missing", 0, 0, 0x10),
]


def elf(*, machine: int = 62, symtab: bool = True) -> bytes:
    strings, rows = b"\0", bytearray(24)
    for name, value, section, info in SYMBOLS:
        rows += struct.pack("<IBBHQQ", len(strings), info, 0, section, value, 8)
        strings += name.encode() + b"\0"
    body = bytes(rows) + strings
    sections = [(0, 0, 0, 0, 0), (1, _ALLOC | _EXECUTE, 0, 0, 0), (1, _ALLOC | _WRITE, 0, 0, 0)]
    sections.append((8, _ALLOC | _WRITE, 0, 1 << 40, 0))
    sections.append((2 if symtab else 1, 0, 64, len(rows), 5))
    sections.append((3, 0, 64 + len(rows), len(strings), 0))
    ident = (b"\x7fELF", 2, 1, 1)
    counts = (64, 0, 0, 64, len(sections), 5)
    head = struct.pack("<4sBBB9xHHIQQQIHHHHHH", *ident, 2, machine, 1, BASE, 0, 64 + len(body), 0, *counts)
    table = [
        struct.pack("<IIQQQQIIQQ", 0, kind, flags, 0, at, size, link, 0, 0, 0)
        for kind, flags, at, size, link in sections
    ]
    return head + body + b"".join(table)


def test_symbols_of_a_vmlinux() -> None:
    table = elfsymbols.read(elf())
    assert isinstance(table, SymbolTable)
    assert list(zip(table.types, table.names, strict=True)) == [
        ("A", "cpu_number"),
        ("T", "_text"),
        ("T", "panic"),
        ("t", "__quiet"),
        ("W", "weak_one"),
        ("T", "_etext"),
        ("D", "jiffies"),
        ("b", "log_buf"),
        ("B", "_end"),
    ]
    assert table.text(BASE + 0x44) == "panic+0x4"
    assert table.end == BASE + 0x3000


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a 64-bit"),
        (b"\x7fELF\x01\x01" + bytes(100), "not a 64-bit"),
        (elf(machine=183), "machine 183"),
        (elf(symtab=False), "stripped"),
        (elf()[:-1], "before its section headers"),
        (elf()[:64], "before its section headers"),
    ],
)
def test_what_is_no_vmlinux(data: bytes, why: str) -> None:
    found = elfsymbols.read(data)
    assert isinstance(found, Defect)
    assert why in found.text


def test_damage_never_raises() -> None:
    data, random_ = elf(), random.Random(3)  # noqa: S311
    for _ in range(500):
        broken = bytearray(data)
        for _ in range(random_.choice([1, 4])):
            broken[random_.randrange(len(broken))] = random_.randrange(256)
        assert isinstance(elfsymbols.read(bytes(broken)), SymbolTable | Defect)
    for end in range(0, len(data), 7):
        assert isinstance(elfsymbols.read(data[:end]), Defect)
