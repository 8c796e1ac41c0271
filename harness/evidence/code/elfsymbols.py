"""The symbols of a vmlinux: an x86-64 ELF file with its symbol table, as the kernel's build leaves it.

System V ABI, "Symbol Table" and "Section Header"; the letters are nm(1)'s, as far as they tell code from data.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence.code.symbols import SymbolTable, in_kernel_order, symbol_table
from harness.evidence.defect import Defect

_SHT_SYMTAB, _SHT_NOBITS = 2, 8
_SHF_WRITE, _SHF_EXECINSTR = 1, 4
_SHN_UNDEF, _SHN_ABS = 0, 0xFFF1
_STB_LOCAL, _STB_WEAK = 0, 2
_STT_SECTION, _STT_FILE = 3, 4
_MACHINE_X86_64 = 62
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")


@dataclass(frozen=True)
class _Section:
    kind: int
    flags: int
    offset: int
    size_bytes: int
    link: int


def read(image: bytes) -> SymbolTable | Defect:
    """The symbols of a vmlinux, in the order in which the kernel has them itself.

    A stripped file is a Defect: what a bzImage unpacks to is one, and kallsyms.decode() reads that.
    """
    sections = _sections(image)
    if isinstance(sections, Defect):
        return sections
    table = next((section for section in sections if section.kind == _SHT_SYMTAB), None)
    if table is None:
        return Defect("an ELF file without symbols (stripped)")
    if table.link >= len(sections):
        return Defect(f"its symbols name section {table.link}, it has {len(sections)}")
    rows, strings = _bytes(image, table), _bytes(image, sections[table.link])
    if rows is None or strings is None:
        return Defect("an ELF file that ends inside its symbols")
    symbols = _symbols(rows, strings, sections)
    return symbol_table(in_kernel_order(symbols)) if symbols else Defect("an ELF file whose symbol table is empty")


def _sections(image: bytes) -> list[_Section] | Defect:
    if image[:6] != b"\x7fELF\x02\x01" or len(image) < 64:
        return Defect("not a 64-bit little-endian ELF file")
    (machine,) = struct.unpack_from("<H", image, 0x12)
    if machine != _MACHINE_X86_64:
        return Defect(f"an ELF file for machine {machine}, not for x86-64 ({_MACHINE_X86_64})")
    (start,) = struct.unpack_from("<Q", image, 0x28)
    size, count = struct.unpack_from("<HH", image, 0x3A)
    if not count:
        return Defect("an ELF file without sections (stripped)")
    if size != _SECTION.size or start + size * count > len(image):
        return Defect("an ELF file that ends before its section headers")
    rows = (_SECTION.unpack_from(image, start + size * number) for number in range(count))
    return [_Section(kind, flags, offset, length, link) for _, kind, flags, _, offset, length, link, *_ in rows]


def _bytes(image: bytes, section: _Section) -> bytes | None:
    end = section.offset + section.size_bytes
    return image[section.offset : end] if section.kind != _SHT_NOBITS and end <= len(image) else None


def _symbols(rows: bytes, strings: bytes, sections: Sequence[_Section]) -> list[tuple[int, str, str]]:
    found = []
    for name_at, info, _, index, value, _ in _SYMBOL.iter_unpack(rows[: len(rows) // _SYMBOL.size * _SYMBOL.size]):
        if index == _SHN_UNDEF or info & 15 in (_STT_SECTION, _STT_FILE):
            continue
        name = strings[name_at : strings.find(b"\0", name_at)].decode("latin-1")
        if name and not name.startswith((".L", ".E", "$")):  # labels of the assembler, and mapping symbols
            found.append((value, _letter(info >> 4, index, sections), name))
    return found


def _letter(binding: int, index: int, sections: Sequence[_Section]) -> str:
    if binding == _STB_WEAK:
        return "W"
    section = sections[index] if index < len(sections) else None
    if section is None:
        letter = "a" if index == _SHN_ABS else "?"
    elif section.flags & _SHF_EXECINSTR:
        letter = "t"
    elif section.kind == _SHT_NOBITS:
        letter = "b"
    else:
        letter = "d" if section.flags & _SHF_WRITE else "r"
    return letter if binding == _STB_LOCAL else letter.upper()
