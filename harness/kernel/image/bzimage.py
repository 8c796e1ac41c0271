"""The header of an x86 bzImage, and what a file is when it is none. Pure: bytes in, values out.

Offsets: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"; PE header: PE/COFF specification, section 3.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from harness.errors import InputError

HEADER_BYTES = 0x10000
"""As much of the file's beginning as parse() can need: kernel_version is a 16-bit offset."""
MIN_PROTOCOL = 0x020C
"""Boot protocol 2.12 (Linux 3.8) brought xloadflags, which say whether the kernel is 64-bit."""

_WANTED = "give an x86-64 bzImage (Debian: /boot/vmlinuz-VERSION; kernel tree: arch/x86/boot/bzImage) or a .deb"
_XLF_KERNEL_64 = 1 << 0
_MACHINE_AMD64 = 0x8664


@dataclass(frozen=True)
class BzImage:
    """What the boot protocol says about a kernel."""

    release: str
    """``uname -r``."""
    banner: str
    protocol: int
    """0x020f for 2.15."""
    init_size_bytes: int
    pref_address: int
    alignment_bytes: int
    xloadflags: int
    efi_stub: bool
    """Has a PE/COFF header for x86-64, so firmware can start it (CONFIG_EFI_STUB)."""


def parse(head: bytes, size_bytes: int, name: str) -> BzImage:
    """Read the header.

    Args:
        head: The first ``HEADER_BYTES`` of the file (all of it when it is shorter).
        size_bytes: The size of the whole file.
        name: What the user called it, for the message.

    Raises:
        InputError: it is no 64-bit bzImage; the message says what it is instead.
    """
    if len(head) < 0x268 or head[0x1FE:0x200] != b"\x55\xaa" or head[0x202:0x206] != b"HdrS":
        what, hint = identify(head)
        raise InputError(f"{name} is not a bzImage: {what}", hint=hint)
    protocol = _u16(head, 0x206)
    if protocol < MIN_PROTOCOL:
        raise InputError(
            f"{name} is a bzImage with boot protocol {protocol >> 8}.{protocol & 255:02}, 2.12 or newer is needed",
            hint="kernels before Linux 3.8 cannot be tested",
        )
    xloadflags = _u16(head, 0x236)
    if not xloadflags & _XLF_KERNEL_64:
        raise InputError(f"{name} is a bzImage of a 32-bit x86 kernel", hint=_WANTED)
    expected = ((head[0x1F1] or 4) + 1) * 512 + _u32(head, 0x1F4) * 16
    if size_bytes < expected:
        raise InputError(
            f"{name} is a truncated bzImage: {size_bytes} bytes, its header says {expected}",
            hint="copy or download it again",
        )
    banner = _banner(head, name)
    return BzImage(
        release=banner.split()[0],
        banner=banner,
        protocol=protocol,
        init_size_bytes=_u32(head, 0x260),
        pref_address=struct.unpack_from("<Q", head, 0x258)[0],
        alignment_bytes=_u32(head, 0x230),
        xloadflags=xloadflags,
        efi_stub=_pe_machine(head) == _MACHINE_AMD64,
    )


def _banner(head: bytes, name: str) -> str:
    start = _u16(head, 0x20E) + 0x200
    raw = head[start : start + 512].split(b"\0", 1)[0]
    text = raw.decode("ascii", "replace").strip()
    if start == 0x200 or not re.match(r"\d+\.\d+", text):
        raise InputError(f"{name} is a bzImage without a version string", hint="its header is damaged: build it again")
    return text


def identify(head: bytes) -> tuple[str, str]:
    """What a file that is no bzImage is, in words, and what to give instead."""
    for check in (_by_machine, _by_magic):
        found = check(head)
        if found is not None:
            return found
    if not head:
        return "the file is empty", _WANTED
    if _is_text(head[:4096]):
        return "it is a text file", _WANTED
    return "the boot protocol's magic `HdrS` is not at 0x202", _WANTED


def _by_machine(head: bytes) -> tuple[str, str] | None:
    if head[:4] == b"\x7fELF":
        return "it is an ELF file (vmlinux?)", "give the bzImage of the same build: arch/x86/boot/bzImage"
    if head[0x38:0x3C] == b"ARM\x64":
        return "it is an arm64 kernel Image", _WANTED
    if head[0x30:0x34] == b"RISC":
        return "it is a RISC-V kernel Image", _WANTED
    if _pe_machine(head) is not None:
        return (
            "it is an EFI program, but not a Linux kernel with a boot header",
            "for a unified kernel image give the vmlinuz it was made of; " + _WANTED,
        )
    return None


_MAGIC = (
    (b"\x1f\x8b", "it is gzip-compressed data"),
    (b"\xfd7zXZ\0", "it is xz-compressed data"),
    (b"\x28\xb5\x2f\xfd", "it is zstd-compressed data"),
    (b"BZh", "it is bzip2-compressed data"),
    (b"\x02\x21\x4c\x18", "it is lz4-compressed data"),
    (b"!<arch>\n", "it is an ar archive; a Debian package must be named .deb"),
    (b"070701", "it is a cpio archive (an initramfs?)"),
    (b"PK\x03\x04", "it is a zip archive"),
)


def _by_magic(head: bytes) -> tuple[str, str] | None:
    for magic, what in _MAGIC:
        if head.startswith(magic):
            return what, _WANTED
    return None


def _is_text(block: bytes) -> bool:
    return all(32 <= byte < 127 or byte in b"\t\n\r\f" for byte in block)


def _pe_machine(head: bytes) -> int | None:
    """IMAGE_FILE_HEADER.Machine, or None when there is no PE header."""
    if head[:2] != b"MZ" or len(head) < 0x40:
        return None
    offset = _u32(head, 0x3C)
    if head[offset : offset + 4] != b"PE\0\0" or len(head) < offset + 6:
        return None
    return _u16(head, offset + 4)


def _u16(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 2], "little")


def _u32(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 4], "little")
