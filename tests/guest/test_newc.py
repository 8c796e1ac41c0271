from __future__ import annotations

import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.guest import newc


@dataclass(frozen=True)
class Member:
    name: str
    inode: int
    mode: int
    links: int
    data: bytes
    device: tuple[int, int]
    zero: tuple[int, ...]


def read(archive: bytes) -> list[Member]:
    """A reader of its own, from the format's description, not from the writer."""
    members, at = [], 0
    while True:
        assert archive[at : at + 6] == b"070701"
        field = [int(archive[at + 6 + 8 * number : at + 14 + 8 * number], 16) for number in range(13)]
        inode, mode, uid, gid, links, mtime, size, major, minor, rmajor, rminor, name_size, checksum = field
        name = archive[at + 110 : at + 110 + name_size - 1].decode()
        assert archive[at + 110 + name_size - 1] == 0
        data_at = -(-(at + 110 + name_size) // 4) * 4
        if name == "TRAILER!!!":
            assert data_at == len(archive)
            return members
        data = archive[data_at : data_at + size]
        members.append(
            Member(name, inode, mode, links, data, (rmajor, rminor), (uid, gid, mtime, major, minor, checksum))
        )
        at = -(-(data_at + size) // 4) * 4


names = st.text("abcdefghijklmnopqrstuvwxyz._-é", min_size=1, max_size=20)


@given(st.dictionaries(names, st.binary(max_size=70), max_size=8))
def test_what_is_written_is_read_back(files: dict[str, bytes]) -> None:
    members = read(b"".join(newc.write(newc.file(name, data) for name, data in files.items())))
    assert [(member.name, member.data) for member in members] == list(files.items())
    assert [member.inode for member in members] == list(range(1, len(files) + 1))
    assert all(stat.S_ISREG(member.mode) and member.zero == (0,) * 6 for member in members)


def test_types_permissions_and_device_numbers() -> None:
    entries = [
        newc.directory("dev"),
        newc.character_device("dev/console", 5, 1),
        newc.symlink("sh", "busybox"),
        newc.file("run", b"x", executable=True),
    ]
    folder, console, link, program = read(b"".join(newc.write(entries)))
    assert (stat.S_ISDIR(folder.mode), folder.links) == (True, 2)
    assert (stat.S_ISCHR(console.mode), console.device, console.links) == (True, (5, 1), 1)
    assert (stat.S_ISLNK(link.mode), link.data) == (True, b"busybox")
    assert stat.S_IMODE(program.mode) == 0o755


def test_a_stream_is_written_like_bytes() -> None:
    stream = newc.Stream(5, lambda: iter([b"ab", b"cde"]))
    assert b"".join(newc.write([newc.file("a", stream)])) == b"".join(newc.write([newc.file("a", b"abcde")]))


def test_busybox_lists_and_unpacks_the_archive(tmp_path: Path) -> None:
    entries = [newc.directory("etc"), newc.file("etc/motd", b"hello\n"), newc.symlink("etc/link", "motd")]
    archive = b"".join(newc.write(entries))
    listing = subprocess.run(["busybox", "cpio", "-t"], input=archive, capture_output=True, check=True)
    assert listing.stdout.decode().split() == ["etc", "etc/motd", "etc/link"]
    subprocess.run(["busybox", "cpio", "-i"], input=archive, capture_output=True, check=True, cwd=tmp_path)
    assert (tmp_path / "etc" / "link").read_bytes() == b"hello\n"


def test_the_kernels_directories_come_first() -> None:
    names = ["b/c/file", "a/file", "top", "b/other", "empty/"]
    assert [entry.name for entry in newc.parents(names)] == ["a", "b", "b/c", "empty"]


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([newc.file("bin/sh", b"")], "directory does not come before"),
        ([newc.file("bin/sh", b""), newc.directory("bin")], "directory does not come before"),
        ([newc.file("bin", b""), newc.file("bin/sh", b"")], "directory does not come before"),
        ([newc.file("a", b""), newc.file("a", b"")], "twice"),
        ([newc.file("/init", b"")], "no name"),
        ([newc.file("", b"")], "no name"),
        ([newc.file("TRAILER!!!", b"")], "no name"),
        ([newc.file("pad", newc.Stream(2**32, lambda: iter([])))], "do not fit"),
    ],
)
def test_what_the_kernel_would_drop_is_refused(entries: list[newc.Entry], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        list(newc.write(entries))
