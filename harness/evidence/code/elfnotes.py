"""The notes of a running kernel, /sys/kernel/notes: ELF notes without a file around them."""

from __future__ import annotations

import struct

_HEADER = struct.Struct("<III")
_NT_GNU_BUILD_ID = 3
_BUILD_ID_BYTES = 64


def build_id(notes: bytes) -> str | None:
    """The kernel's GNU build id in hexadecimal; None when there is none, or the notes are cut short."""
    at = 0
    while len(notes) - at >= _HEADER.size:
        name_bytes, data_bytes, kind = _HEADER.unpack_from(notes, at)
        name_at = at + _HEADER.size
        data_at = name_at + -(-name_bytes // 4) * 4
        end = data_at + data_bytes
        if end > len(notes):
            return None
        if (
            kind == _NT_GNU_BUILD_ID
            and notes[name_at:data_at].rstrip(b"\0") == b"GNU"
            and data_bytes <= _BUILD_ID_BYTES
        ):
            return notes[data_at:end].hex()
        at = data_at + -(-data_bytes // 4) * 4
    return None
