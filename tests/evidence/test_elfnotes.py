"""/sys/kernel/notes."""

from __future__ import annotations

import struct

import pytest

from harness.evidence.code.elfnotes import build_id


def note(name: bytes, kind: int, data: bytes) -> bytes:
    padded = [part + b"\0" * (-len(part) % 4) for part in (name, data)]
    return struct.pack("<III", len(name), len(data), kind) + b"".join(padded)


BUILD = note(b"GNU\0", 3, bytes(range(20)))


def test_it_is_found_behind_others() -> None:
    notes = note(b"Xen\0", 6, b"linux\0") + note(b"GNU\0", 1, b"abcd") + BUILD
    assert build_id(notes) == bytes(range(20)).hex()


@pytest.mark.parametrize(
    "notes", [b"", BUILD[:-1], note(b"GNU\0", 1, b"abcd"), note(b"Xen\0", 3, b"abcd"), b"\xff" * 64]
)
def test_there_is_none(notes: bytes) -> None:
    assert build_id(notes) is None
