"""A writer for cpio archives in the "newc" form, the one the kernel unpacks as initramfs.

Format: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel tree. The same entries always give
the same bytes: no time stamps, no owners, inode numbers counted from 1 in the order of the entries.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

MAX_FILE_BYTES = 2**32 - 1
"""The size field of newc holds 32 bits."""
_TRAILER = "TRAILER!!!"


@dataclass(frozen=True)
class Stream:
    """Contents too large to hold: ``chunks()`` begins anew at each call and yields ``size_bytes`` in all."""

    size_bytes: int
    chunks: Callable[[], Iterable[bytes]]


@dataclass(frozen=True)
class Entry:
    """One member. ``name`` is relative to the root, without a leading slash; ``mode`` has type and permissions."""

    name: str
    mode: int
    data: bytes | Stream = b""
    device: tuple[int, int] = (0, 0)
    """Major and minor number, for device nodes."""

    @property
    def size_bytes(self) -> int:
        return self.data.size_bytes if isinstance(self.data, Stream) else len(self.data)


def directory(name: str) -> Entry:
    """A directory that everybody may read."""
    return Entry(name, stat.S_IFDIR | 0o755)


def file(name: str, data: bytes | Stream, *, executable: bool = False) -> Entry:
    """A regular file."""
    return Entry(name, stat.S_IFREG | (0o755 if executable else 0o644), data)


def symlink(name: str, target: str) -> Entry:
    """A symbolic link; ``target`` is not looked at."""
    return Entry(name, stat.S_IFLNK | 0o777, target.encode())


def character_device(name: str, major: int, minor: int) -> Entry:
    """A device node; no privilege is needed to write one into an archive."""
    return Entry(name, stat.S_IFCHR | 0o600, device=(major, minor))


def parents(names: Iterable[str]) -> list[Entry]:
    """The directories that lead to ``names``, each before what is in it, sorted."""
    found = {"/".join(parts[:depth]) for parts in (name.split("/") for name in names) for depth in range(1, len(parts))}
    return [directory(name) for name in sorted(found)]


def check(entries: Iterable[Entry]) -> None:
    """Refuse what the kernel would drop without a word (init/initramfs.c skips members it cannot create).

    Raises:
        ValueError: a name that is absolute, empty, double, or whose directory does not come before it; a size that
            does not fit.
    """
    directories, seen = {""}, set[str]()
    for entry in entries:
        parent = entry.name.rpartition("/")[0]
        if not entry.name or entry.name.startswith("/") or entry.name == _TRAILER:
            raise ValueError(f"{entry.name!r} is no name for a member of an initramfs")
        if entry.name in seen:
            raise ValueError(f"{entry.name} is in the archive twice")
        if parent not in directories:
            raise ValueError(f"{entry.name}: its directory does not come before it")
        if entry.size_bytes > MAX_FILE_BYTES:
            raise ValueError(f"{entry.name}: {entry.size_bytes} bytes do not fit in a newc archive")
        seen.add(entry.name)
        if stat.S_ISDIR(entry.mode):
            directories.add(entry.name)


def write(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The archive, in pieces.

    Raises:
        ValueError: see ``check``.
    """
    members = list(entries)
    check(members)
    for inode, entry in enumerate(members, 1):
        yield header(entry, inode)
        if isinstance(entry.data, Stream):
            yield from entry.data.chunks()
        else:
            yield entry.data
        yield bytes(-entry.size_bytes % 4)
    yield header(Entry(_TRAILER, 0), 0)


def header(entry: Entry, inode: int) -> bytes:
    """Header and name, padded to four bytes (the header has 110)."""
    name = entry.name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    owner = time = device = checksum = 0
    fields = (
        *(inode, entry.mode, owner, owner, links, time, entry.size_bytes),
        *(device, device, *entry.device, len(name), checksum),
    )
    text = b"070701" + b"".join(b"%08X" % value for value in fields) + name
    return text + bytes(-len(text) % 4)
