"""As much ELF reading as an initramfs needs: shared libraries of a program, ``.modinfo`` of a module.

64-bit little-endian files only (System V ABI, AMD64 supplement); everything else is refused.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB = 0, 1, 5


@dataclass(frozen=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size_bytes: int


class Elf:
    """One ELF file, read into memory.

    Raises:
        ValueError: not a 64-bit little-endian ELF file, or cut off.
    """

    def __init__(self, data: bytes) -> None:
        if data[:6] != b"\x7fELF\x02\x01" or len(data) < 64:
            raise ValueError("not a 64-bit little-endian ELF file")
        self._data = data
        self._segments = tuple(self._read_segments())

    @classmethod
    def read(cls, path: Path) -> Elf:
        return cls(path.read_bytes())

    def _unpack(self, form: str, offset: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from("<" + form, self._data, offset)
        except struct.error as error:
            raise ValueError(f"ELF file is cut off: {error}") from error

    def _read_segments(self) -> list[_Segment]:
        (start,) = self._unpack("Q", 0x20)
        size, count = self._unpack("HH", 0x36)
        rows = [self._unpack("IIQQQQ", start + index * size) for index in range(count)]
        return [_Segment(kind, offset, address, length) for kind, _, offset, address, _, length in rows]

    def _text(self, offset: int) -> str:
        end = self._data.find(b"\0", offset)
        if not 0 <= offset <= end:
            raise ValueError("ELF file is cut off inside a string")
        return self._data[offset:end].decode()

    @property
    def interpreter(self) -> str | None:
        """The dynamic loader the program asks for; None when it is static."""
        return next((self._text(segment.offset) for segment in self._segments if segment.kind == _PT_INTERP), None)

    @property
    def needed(self) -> tuple[str, ...]:
        """The DT_NEEDED names, in order."""
        for segment in self._segments:
            if segment.kind == _PT_DYNAMIC:
                rows = [self._unpack("qQ", segment.offset + at) for at in range(0, segment.size_bytes // 16 * 16, 16)]
                live = rows[: next((index for index, (tag, _) in enumerate(rows) if tag == _DT_NULL), len(rows))]
                table = next((self._file_offset(value) for tag, value in live if tag == _DT_STRTAB), None)
                if table is None:
                    return ()
                return tuple(self._text(table + value) for tag, value in live if tag == _DT_NEEDED)
        return ()

    def _file_offset(self, address: int) -> int:
        for segment in self._segments:
            if segment.kind == _PT_LOAD and segment.address <= address < segment.address + segment.size_bytes:
                return segment.offset + address - segment.address
        raise ValueError(f"ELF file does not load address {address:#x}")

    def section(self, name: str) -> bytes | None:
        """The bytes of a section, or None when there is none of that name."""
        (start,) = self._unpack("Q", 0x28)
        size, count, names_index = self._unpack("HHH", 0x3A)
        rows = [self._unpack("IIQQQQ", start + index * size) for index in range(count)]
        if names_index >= len(rows):
            return None
        names_offset = rows[names_index][4]
        for name_offset, _, _, _, offset, length in rows:
            if self._text(names_offset + name_offset) == name:
                return self._data[offset : offset + length]
        return None


def modinfo(module: bytes) -> dict[str, str]:
    """The ``key=value`` strings of a kernel module's ``.modinfo``; of a repeated key, the first.

    Raises:
        ValueError: not a kernel module.
    """
    section = Elf(module).section(".modinfo")
    if section is None:
        raise ValueError("no .modinfo section: not a kernel module")
    pairs = (item.decode("utf-8", "replace").partition("=") for item in section.split(b"\0") if b"=" in item)
    found: dict[str, str] = {}
    for key, _, value in pairs:
        found.setdefault(key, value)
    return found
