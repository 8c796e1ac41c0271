"""The smallest files that the ELF reader takes for a kernel module or a program."""

from __future__ import annotations

import struct


def module(**fields: str) -> bytes:
    """A relocatable file with one ``.modinfo`` section."""
    info = b"".join(f"{key}={value}\0".encode() for key, value in fields.items())
    return with_section(".modinfo", info)


def with_section(name: str, content: bytes) -> bytes:
    names = b"\0" + name.encode() + b"\0.shstrtab\0"
    content_at = 64
    names_at = content_at + len(content)
    table_at = names_at + len(names)
    sections = [(0, 0, 0, 0), (1, 1, content_at, len(content)), (len(name) + 2, 3, names_at, len(names))]
    table = b"".join(
        struct.pack("<IIQQQQIIQQ", name_at, kind, 0, 0, at, size, 0, 0, 1, 0) for name_at, kind, at, size in sections
    )
    head = struct.pack(
        *("<6s10xHHIQQQIHHHHHH", b"\x7fELF\x02\x01", 1, 62, 1, 0, 0, table_at, 0, 64, 56, 0, 64, len(sections)),
        len(sections) - 1,
    )
    return head + content + names + table
