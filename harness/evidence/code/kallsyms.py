"""A kernel's own symbol table, read out of its decompressed image, without symbols to start from.

What scripts/kallsyms.c writes, in the orders that were met; all little-endian:

================  ====================================================================================================
seen in           the order
================  ====================================================================================================
5.10              offsets, relative_base, num_syms, names, markers, token_table, token_index; each aligned to 8
6.1 of Debian     the same, with seqs_of_names (3 bytes a symbol) behind the markers
6.12              num_syms, names, markers, token_table, token_index, offsets, relative_base, seqs_of_names
7.2, 7.3          num_syms, names, markers, token_table, token_index, offsets, seqs_of_names; aligned to 4, and each
                  offset is relative to the place where it stands
================  ====================================================================================================

Other versions are not tried: what fits none of these orders is a Defect.

The token table is found by its digits, which are always tokens of their own, and is proved by the index behind it; the
names by the markers behind them; the offsets by being in order and inside the kernel.
"""

from __future__ import annotations

import re
import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.evidence.code.symbols import KERNEL_START, SymbolTable, symbol_table
from harness.evidence.defect import Defect
from harness.evidence.ranges import align_up

_DIGITS = b"".join(bytes([digit, 0]) for digit in b"0123456789")
_TOKENS = 256
_MAX_TABLE_BYTES = 1 << 16
"""token_index has 16-bit offsets."""
_MAX_SYMBOLS = 1 << 21
_MIN_SYMBOLS = 64
_WINDOW_BYTES = 16 << 20
"""The names stand so far before the token table at most; they have 2.8 MB in Debian's Linux 7.3."""
_MAX_STEPS = 1 << 24
_MAX_DIGITS = 1 << 12
_TYPES = frozenset("aAbBcCdDgGiInNrRsStTuUvVwW?")
_KERNEL_BYTES = 1 << 30
"""KERNEL_IMAGE_SIZE, arch/x86/include/asm/page_64_types.h."""
_ABSOLUTE_END = 1 << 31
_LINE = re.compile(r"(?P<address>[0-9a-f]{8,16}) (?P<type>[A-Za-z?]) (?P<name>[^\s\[]+)(?P<module>\s+\[.*\])?")


@dataclass(frozen=True)
class _Tokens:
    start: int
    index_end: int
    texts: tuple[str, ...]


@dataclass(frozen=True)
class _Names:
    at: int
    """Where num_syms stands."""
    types: list[str]
    names: list[str]


def decode(image: bytes) -> SymbolTable | Defect:
    """The symbols of a kernel, from its decompressed image (an ELF file, with or without sections).

    The whole image is looked through once; 200,000 symbols take about a second.
    """
    tokens = _find_tokens(image)
    if tokens is None:
        return Defect(
            "no kallsyms token table in the kernel's image: it was built without CONFIG_KALLSYMS, or is damaged"
        )
    found = _find_names(image, tokens)
    if found is None:
        return Defect(f"a kallsyms token table at {tokens.start:#x} of the image, but no names that belong to it")
    addresses = _find_addresses(image, tokens, found)
    if addresses is None:
        return Defect(f"{len(found.names)} kallsyms names at {found.at:#x} of the image, but no addresses that fit")
    return symbol_table(zip(addresses, found.types, found.names, strict=True))


def parse(text: str) -> SymbolTable | Defect:
    """/proc/kallsyms, or System.map: ``ADDRESS TYPE NAME``. Symbols of modules are left out.

    In /proc/kallsyms of a kernel with KASLR the addresses are already moved.
    """
    symbols = []
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.fullmatch(line.rstrip())
        if match is None:
            return Defect(f"line {number} is no line of kallsyms or System.map: {line[:80]!r}")
        if match["module"] is None:
            symbols.append((int(match["address"], 16), match["type"], match["name"]))
    if not any(address for address, _, _ in symbols):
        return Defect(
            "every address is zero: /proc/kallsyms shows them to root only (kptr_restrict)" if symbols else "empty"
        )
    if not any(address >= KERNEL_START for address, _, _ in symbols):
        return Defect("no address in it is a kernel's: Debian's System.map has a note instead of symbols")
    return symbol_table(symbols)


# Tokens


def _find_tokens(image: bytes) -> _Tokens | None:
    at = -1
    for _ in range(_MAX_DIGITS):
        at = image.find(_DIGITS, at + 1)
        if at < 0:
            return None
        found = _tokens_around(image, at)
        if found is not None:
            return found
    return None


def _tokens_around(image: bytes, digits: int) -> _Tokens | None:
    """The table whose tokens 0x30 to 0x39 stand at ``digits``."""
    behind = image[digits : digits + _MAX_TABLE_BYTES].split(b"\0", _TOKENS - 0x30)
    if len(behind) <= _TOKENS - 0x30:
        return None
    end = digits + sum(len(token) + 1 for token in behind[:-1])
    for alignment in (8, 4):
        at = align_up(end, alignment)
        if at + 2 * _TOKENS > len(image):
            continue
        index = struct.unpack_from(f"<{_TOKENS}H", image, at)
        start = digits - index[0x30]
        if start < 0 or index[0]:
            continue
        tokens = image[start:end].split(b"\0")[:-1]
        if len(tokens) == _TOKENS and tuple(_offsets(tokens)) == index:
            return _Tokens(start, at + 2 * _TOKENS, tuple(token.decode("latin-1") for token in tokens))
    return None


def _offsets(tokens: Sequence[bytes]) -> Iterator[int]:
    offset = 0
    for token in tokens:
        yield offset
        offset += len(token) + 1


# Names


def _find_names(image: bytes, tokens: _Tokens) -> _Names | None:
    """The count of symbols, their names, and the markers that prove them, somewhere before the token table."""
    begin = align_up(max(0, tokens.start - _WINDOW_BYTES), 4)
    words = array("I", image[begin : begin + (tokens.start - begin) // 4 * 4])
    if sys.byteorder == "big":
        words.byteswap()
    first = bytes(number for number, text in enumerate(tokens.texts) if text[:1] in _TYPES)
    steps = 0
    for index, count in enumerate(words):
        if not _MIN_SYMBOLS <= count < _MAX_SYMBOLS:
            continue
        at = begin + 4 * index
        # aligned to 8, there is a gap of zeros behind the count
        for start in (at + 4,) if index + 1 < len(words) and words[index + 1] else (at + 8, at + 4):
            entries, end = _walk(image, start, tokens.start, count, first)
            steps += len(entries) + 1
            if len(entries) == count and _marked(image, start, end, entries):
                return _Names(at, *_texts(image, entries, tokens.texts))
        if steps > _MAX_STEPS:
            return None
    return None


def _walk(image: bytes, start: int, limit: int, count: int, first: bytes) -> tuple[list[tuple[int, int]], int]:
    """Places and lengths of up to ``count`` compressed names, as far as they can be ones, and where they end."""
    at, entries = start, list[tuple[int, int]]()
    while len(entries) < count and at + 2 < limit:
        length = image[at]
        body = at + 1
        if length & 0x80:  # two bytes, since 73bbb94466fd ("kallsyms: support "big" kernel symbols", v6.1)
            length, body = length & 0x7F | image[body] << 7, body + 1
        if not length or image[body] not in first or body + length > limit:
            break
        entries.append((body, length))
        at = body + length
    return entries, at


def _marked(image: bytes, start: int, end: int, entries: Sequence[tuple[int, int]]) -> bool:
    """Do the markers, one for 256 names, stand behind the names, and do they say the same?"""
    begins = [body - (2 if length > 0x7F else 1) - start for body, length in entries[::256]]
    expected = struct.pack(f"<{len(begins)}I", *begins)
    return any(image.startswith(expected, align_up(end, alignment)) for alignment in (8, 4))


def _texts(image: bytes, entries: Sequence[tuple[int, int]], tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    expanded = ["".join([tokens[byte] for byte in image[body : body + length]]) for body, length in entries]
    return [text[0] for text in expanded], [text[1:] for text in expanded]


# Addresses


def _find_addresses(image: bytes, tokens: _Tokens, found: _Names) -> list[int] | None:
    count = len(found.names)
    behind = align_up(tokens.index_end, 8)
    for addresses in (
        _based(image, found.at - 8 - align_up(4 * count, 8), found.at - 8, count),
        _based(image, behind, align_up(behind + 4 * count, 8), count),
        _by_place(image, align_up(tokens.index_end, 4), count),
    ):
        if addresses is not None and _plausible(addresses):
            return addresses
    return None


def _based(image: bytes, at: int, base_at: int, count: int) -> list[int] | None:
    """Offsets from a base; with negative ones among them (KALLSYMS_ABSOLUTE_PERCPU) the others are absolute."""
    offsets = _words(image, at, count)
    if offsets is None or not 0 <= base_at <= len(image) - 8:
        return None
    (base,) = struct.unpack_from("<Q", image, base_at)
    if base < KERNEL_START:
        return None
    if min(offsets) < 0:
        return [offset if offset >= 0 else base - 1 - offset for offset in offsets]
    return [base + offset for offset in offsets]


def _by_place(image: bytes, at: int, count: int) -> list[int] | None:
    """Offsets from where each of them stands."""
    offsets = _words(image, at, count)
    place = _virtual(image, at)
    if offsets is None or place is None:
        return None
    return [place + 4 * index + offset for index, offset in enumerate(offsets)]


def _words(image: bytes, at: int, count: int) -> array[int] | None:
    if at < 0 or at + 4 * count > len(image):
        return None
    words = array("i", image[at : at + 4 * count])
    if sys.byteorder == "big":
        words.byteswap()
    return words


def _plausible(addresses: Sequence[int]) -> bool:
    end = KERNEL_START + _KERNEL_BYTES
    ordered = all(low <= high for low, high in pairwise(addresses))
    inside = sum(KERNEL_START <= address < end for address in addresses)
    absolute = sum(0 <= address < _ABSOLUTE_END for address in addresses)
    return ordered and inside + absolute == len(addresses) and 2 * inside > len(addresses)


def _virtual(image: bytes, at: int) -> int | None:
    """The virtual address of a place in an ELF file, by its program headers (System V ABI, "Program Header")."""
    if image[:6] != b"\x7fELF\x02\x01" or len(image) < 64:
        return None
    (table,) = struct.unpack_from("<Q", image, 0x20)
    size, count = struct.unpack_from("<HH", image, 0x36)
    for number in range(count):
        header = table + number * size
        if size < 56 or header + 56 > len(image):
            return None
        kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", image, header)
        if kind == 1 and offset <= at < offset + length:
            return int(address + at - offset)
    return None
