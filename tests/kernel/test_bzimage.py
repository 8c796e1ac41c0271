from __future__ import annotations

import gzip
import struct

import pytest

from harness.errors import InputError
from harness.kernel.image import bzimage

from . import build


def parse(data: bytes, size_bytes: int | None = None) -> bzimage.BzImage:
    return bzimage.parse(data[: bzimage.HEADER_BYTES], len(data) if size_bytes is None else size_bytes, "FILE")


def refusal(data: bytes) -> InputError:
    with pytest.raises(InputError) as caught:
        parse(data)
    return caught.value


def test_the_header() -> None:
    header = parse(build.bzimage("6.12.117+deb13-cloud-amd64"))
    assert header.release == "6.12.117+deb13-cloud-amd64"
    assert header.banner == "6.12.117+deb13-cloud-amd64 (builder@example.org) #1 SMP"
    assert (header.init_size_bytes, header.pref_address, header.alignment_bytes) == (0x3378000, 0x1000000, 0x200000)
    assert (header.protocol, header.efi_stub) == (0x20F, True)


def test_bytes_after_the_end_are_a_signature() -> None:
    assert parse(build.bzimage() + b"PKCS7" * 300).release == build.RELEASE


def test_a_kernel_without_efi_stub() -> None:
    header = parse(build.bzimage(pe_machine=None, xloadflags=1))
    assert not header.efi_stub
    assert not parse(build.bzimage(pe_machine=0x14C)).efi_stub


def elf() -> bytes:
    return b"\x7fELF\x02\x01\x01" + bytes(600)


def arm64() -> bytes:
    image = bytearray(0x1000)
    image[:2], image[0x38:0x3C] = b"MZ", b"ARM\x64"
    struct.pack_into("<I", image, 0x3C, 0x40)
    image[0x40:0x46] = b"PE\0\0\x64\xaa"
    return bytes(image)


def efi_program() -> bytes:
    image = bytearray(0x1000)
    image[:2], image[0x80:0x86] = b"MZ", b"PE\0\0\x64\x86"
    struct.pack_into("<I", image, 0x3C, 0x80)
    return bytes(image)


@pytest.mark.parametrize(
    ("data", "what", "hint"),
    [
        (b"", "the file is empty", "x86-64 bzImage"),
        (b"#!/bin/sh\necho no kernel\n", "a text file", "x86-64 bzImage"),
        (b"words\n" * 1000, "a text file", "x86-64 bzImage"),
        (elf(), "an ELF file", "arch/x86/boot/bzImage"),
        (gzip.compress(b"kernel"), "gzip", "x86-64 bzImage"),
        (b"\xfd7zXZ\0" + bytes(1000), "xz", "x86-64 bzImage"),
        (b"\x28\xb5\x2f\xfd" + bytes(1000), "zstd", "x86-64 bzImage"),
        (arm64(), "an arm64 kernel", "x86-64 bzImage"),
        (efi_program(), "an EFI program, but not a Linux kernel", "unified kernel image"),
        (b"070701" + b"0" * 1000, "cpio", "x86-64 bzImage"),
        (build.ar({"debian-binary": b"2.0\n"}), "must be named .deb", "x86-64 bzImage"),
        (bytes(range(256)) * 8, "magic", "x86-64 bzImage"),
        (build.bzimage()[:0x240], "an EFI program", "x86-64 bzImage"),
    ],
)
def test_what_is_no_kernel_is_named(data: bytes, what: str, hint: str) -> None:
    error = refusal(data)
    assert error.message.startswith("FILE is not a bzImage: ")
    assert what in error.message
    assert hint in error.hint


def test_a_truncated_image() -> None:
    whole = build.bzimage(code=b"\xcc" * 4096)
    parse(whole)
    assert "truncated bzImage: 6143 bytes, its header says 6144" in refusal(whole[:-1]).message


def test_an_old_protocol() -> None:
    parse(build.bzimage(protocol=0x20C))
    assert "boot protocol 2.11, 2.12 or newer" in refusal(build.bzimage(protocol=0x20B)).message


def test_a_32_bit_kernel() -> None:
    assert "32-bit x86" in refusal(build.bzimage(xloadflags=0x7E)).message


@pytest.mark.parametrize("banner", ["", "no number"])
def test_no_version_string(banner: str) -> None:
    assert "without a version string" in refusal(build.bzimage(banner=banner)).message
