from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.errors import HostError, InputError
from harness.guest import pad
from harness.guest.initramfs import build_initrd
from harness.guest.tools import HELPERS, GuestTools, find_tools
from harness.model.kernel import KernelImage

from .test_modules import place

PAD_BYTES = 100_001


@pytest.fixture(scope="module")
def tools() -> GuestTools:
    return find_tools()


def kernel(modules: Path | None) -> KernelImage:
    return KernelImage(
        name="fake",
        release="6.1.0-fake",
        banner="6.1.0-fake (nobody)",
        image=Path("/nowhere/vmlinuz"),
        sha256="0" * 64,
        size_bytes=1,
        modules=modules,
        init_size_bytes=1,
        pref_address=0,
        alignment_bytes=1,
    )


def listing(path: Path) -> list[str]:
    with path.open("rb") as archive:
        done = subprocess.run(["busybox", "cpio", "-t"], stdin=archive, capture_output=True, check=True, text=True)
    return done.stdout.split()


def test_what_is_inside(tools: GuestTools, tmp_path: Path) -> None:
    place(tmp_path / "tree", "virtio_blk", "virtio")
    place(tmp_path / "tree", "virtio")
    initrd = build_initrd(kernel(tmp_path / "tree"), tools, PAD_BYTES, tmp_path / "out")
    names = listing(initrd.path)
    assert {"init", "bin/busybox", "bin/kexec", "bin/hkexec", "dev/console", "lib64/ld-linux-x86-64.so.2"} < set(names)
    assert {"harness/link.sh", "harness/facts.sh", "harness/commands.sh", "modules/virtio_blk.ko"} < set(names)
    assert names[-1] == "pad"
    assert initrd.modules == ("virtio", "virtio_blk")
    assert "efivarfs" in initrd.absent
    assert (initrd.path.stat().st_size, initrd.path.name) == (initrd.size_bytes, f"initrd-{initrd.sha256}.cpio")
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    with initrd.path.open("rb") as archive:
        command = ["busybox", "cpio", "-i", "-d", "modules/list", "pad"]
        subprocess.run(command, stdin=archive, cwd=unpacked, capture_output=True, check=True)
    assert (unpacked / "pad").stat().st_size == PAD_BYTES
    lines = (unpacked / "modules/list").read_text().splitlines()
    assert lines[:3] == ["virtio virtio.ko", "virtio_blk virtio_blk.ko", "virtio_pci absent"]


def test_only_a_capture_kernel_gets_makedumpfile(tools: GuestTools, tmp_path: Path) -> None:
    plain = listing(build_initrd(kernel(None), tools, 0, tmp_path).path)
    capture = listing(build_initrd(kernel(None), tools, 0, tmp_path, capture=True).path)
    assert "bin/makedumpfile" not in plain
    assert set(capture) - set(plain) > {"bin/makedumpfile"}  # and libraries
    assert set(plain) < set(capture)
    assert "harness/kdump.sh" in plain


def test_the_padding_can_be_traced_to_its_place_in_the_file(tools: GuestTools, tmp_path: Path) -> None:
    initrd = build_initrd(kernel(None), tools, PAD_BYTES, tmp_path)
    data = initrd.path.read_bytes()
    for offset in (0, 5000, PAD_BYTES - 64):
        at = initrd.pad_offset_bytes + offset
        assert pad.locate(data[at : at + 64]) == (initrd.pad_tag, offset)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4])
def test_the_padding_has_exactly_the_size_that_was_asked_for(tools: GuestTools, tmp_path: Path, size: int) -> None:
    initrd = build_initrd(kernel(None), tools, size, tmp_path)
    data = initrd.path.read_bytes()
    end = initrd.pad_offset_bytes + size
    assert data[initrd.pad_offset_bytes : end] == b"HPAD"[:size]
    assert data[end:].lstrip(b"\0").startswith(b"070701")
    assert listing(initrd.path)[-1] == "pad"


def test_the_same_input_gives_the_same_bytes(tools: GuestTools, tmp_path: Path) -> None:
    first = build_initrd(kernel(None), tools, PAD_BYTES, tmp_path / "a")
    second = build_initrd(kernel(None), tools, PAD_BYTES, tmp_path / "b")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.sha256 == second.sha256


def test_other_modules_give_another_initrd_and_another_tag(tools: GuestTools, tmp_path: Path) -> None:
    place(tmp_path / "tree", "virtio")
    place(tmp_path / "tree", "virtio_blk", "virtio")
    one = build_initrd(kernel(None), tools, PAD_BYTES, tmp_path)
    other = build_initrd(kernel(tmp_path / "tree"), tools, PAD_BYTES, tmp_path)
    assert one.sha256 != other.sha256
    assert one.pad_tag != other.pad_tag


def test_one_that_is_there_is_used_again(tools: GuestTools, tmp_path: Path) -> None:
    first = build_initrd(kernel(None), tools, PAD_BYTES, tmp_path)
    inode = first.path.stat().st_ino
    assert build_initrd(kernel(None), tools, PAD_BYTES, tmp_path) == first
    assert first.path.stat().st_ino == inode


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_one_that_is_damaged_is_written_anew(tools: GuestTools, tmp_path: Path, damage: bytes | None) -> None:
    first = build_initrd(kernel(None), tools, PAD_BYTES, tmp_path)
    good = first.path.read_bytes()
    first.path.write_bytes(good[:-1] + b"x" if damage is None else damage)
    assert build_initrd(kernel(None), tools, PAD_BYTES, tmp_path).path.read_bytes() == good


def test_no_scratch_files_stay(tools: GuestTools, tmp_path: Path) -> None:
    initrd = build_initrd(kernel(None), tools, 0, tmp_path)
    assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} == {"initrd", *HELPERS}
    assert initrd.path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("size", [-1, 2**32])
def test_padding_that_does_not_fit_is_refused(tools: GuestTools, tmp_path: Path, size: int) -> None:
    with pytest.raises(InputError, match="cannot be padded"):
        build_initrd(kernel(None), tools, size, tmp_path)


def test_a_directory_that_cannot_be_written_is_the_hosts_fault(tools: GuestTools, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(HostError, match="cannot write"):
        build_initrd(kernel(None), tools, 0, blocked / "below")
