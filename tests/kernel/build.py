"""Small kernels and packages, made byte by byte."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import struct
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

RELEASE = "6.1.0-56-amd64"
CONFIG = """\
# Linux/x86 6.1.192 Kernel Configuration
CONFIG_EFI=y
CONFIG_EFI_STUB=y
CONFIG_EFI_ESRT=y
CONFIG_KEXEC=y
CONFIG_KEXEC_FILE=y
CONFIG_FIRMWARE_MEMMAP=y
# CONFIG_ACPI_BGRT is not set
CONFIG_LOCALVERSION="-x"
"""


def bzimage(
    release: str = RELEASE,
    *,
    protocol: int = 0x20F,
    xloadflags: int = 0x7F,
    pe_machine: int | None = 0x8664,
    banner: str | None = None,
    code: bytes = b"\xcc" * 64,
) -> bytes:
    """A bzImage with a header and nothing that could run (boot.rst's offsets)."""
    setup_sects = 3
    head = bytearray((setup_sects + 1) * 512)
    struct.pack_into("<B", head, 0x1F1, setup_sects)
    struct.pack_into("<I", head, 0x1F4, len(code) // 16)
    struct.pack_into("<H", head, 0x1FE, 0xAA55)
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", head, 0x206, protocol)
    struct.pack_into("<H", head, 0x20E, 0x400)
    struct.pack_into("<I", head, 0x230, 0x200000)
    struct.pack_into("<H", head, 0x236, xloadflags)
    struct.pack_into("<Q", head, 0x258, 0x1000000)
    struct.pack_into("<I", head, 0x260, 0x3378000)
    text = (f"{release} (builder@example.org) #1 SMP" if banner is None else banner).encode() + b"\0"
    head[0x600 : 0x600 + len(text)] = text
    if pe_machine is not None:
        head[:2] = b"MZ"
        struct.pack_into("<I", head, 0x3C, 0x80)
        head[0x80:0x86] = b"PE\0\0" + struct.pack("<H", pe_machine)
    return bytes(head) + code


def tar(
    files: Mapping[str, bytes], links: Mapping[str, str] | None = None, hard: Mapping[str, str] | None = None
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for kind, items in ((tarfile.SYMTYPE, links or {}), (tarfile.LNKTYPE, hard or {})):
            for name, target in items.items():
                member = tarfile.TarInfo(name)
                member.type, member.linkname = kind, target
                archive.addfile(member)
    return buffer.getvalue()


def ar(members: Mapping[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, data in members.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return out


def compress(data: bytes, how: str) -> bytes:
    if how == "zst":
        return subprocess.run(["zstd", "-c"], input=data, capture_output=True, check=True).stdout
    return {"xz": lzma.compress, "gz": gzip.compress, "": bytes}[how](data)


def deb(
    files: Mapping[str, bytes],
    *,
    package: str = f"linux-image-{RELEASE}",
    version: str = "6.1.192-2",
    depends: str = "",
    how: str = "xz",
    links: Mapping[str, str] | None = None,
    hard: Mapping[str, str] | None = None,
) -> bytes:
    control = f"Package: {package}\nVersion: {version}\nArchitecture: amd64\n"
    control += f"Depends: {depends}\n" if depends else ""
    dot = f".{how}" if how else ""
    return ar(
        {
            "debian-binary": b"2.0\n",
            f"control.tar{dot}": compress(tar({"./control": control.encode()}), how),
            f"data.tar{dot}": compress(tar(files, links, hard), how),
        }
    )


def kernel_files(release: str = RELEASE, *, config: str = CONFIG) -> dict[str, bytes]:
    """What linux-image-* holds up to Linux 6.x."""
    return {
        f"./boot/vmlinuz-{release}": bzimage(release),
        f"./boot/config-{release}": config.encode(),
        f"./boot/System.map-{release}": b"ffffffffffffffff B none\n",
        f"./lib/modules/{release}/modules.builtin": b"kernel/drivers/virtio/virtio_pci.ko\n",
        f"./lib/modules/{release}/kernel/drivers/block/virtio_blk.ko": b"\x7fELF blk",
        f"./lib/modules/{release}/kernel/drivers/gpu/drm/drm.ko": b"\x7fELF drm",
        f"./usr/share/doc/linux-image-{release}/copyright": b"GPL\n",
    }


def split_files(release: str, *, signed: bool = True) -> dict[str, dict[str, bytes]]:
    """What linux-binary-*, linux-base-* and linux-modules-* hold from Linux 7.0 on."""
    top = f"./usr/lib/modules/{release}"
    return {
        "binary": {f"{top}/vmlinuz{'' if signed else '.unsigned'}": bzimage(release)},
        "base": {f"{top}/config": CONFIG.encode(), f"{top}/modules.builtin": b"", f"{top}/System.map": b"x"},
        "modules": {f"{top}/kernel/drivers/block/virtio_blk.ko.xz": b"\xfd7zXZ\0"},
    }


class Archive:
    """A Debian archive for the fake apt: suites with packages, below one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def suite(self, name: str) -> Path:
        path = self.directory / name
        path.mkdir(exist_ok=True)
        (path / "Packages").touch()
        return path

    def add(self, suite: str, package: str, version: str, files: Mapping[str, bytes], depends: str = "") -> str:
        """Returns the package's SHA-256."""
        data = deb(files, package=package, version=version, depends=depends, how="gz")
        path = self.suite(suite) / f"{package}_{version}_amd64.deb"
        path.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        stanza = f"Package: {package}\nVersion: {version}\nSize: {len(data)}\nSHA256: {digest}\n"
        stanza += f"Depends: {depends}\n" if depends else ""
        with (path.parent / "Packages").open("a") as file:
            file.write(stanza + "Description: a test\n of several lines\n\n")
        return digest

    def add_kernel(self, suite: str, release: str, version: str, *, unsigned: bool = False) -> str:
        name = f"linux-image-{release}{'-unsigned' if unsigned else ''}"
        return self.add(suite, name, version, kernel_files(release), "kmod, linux-base (>= 4.3~)")

    def add_split(self, suite: str, release: str, version: str, *, signed: bool = True) -> None:
        binary = "binary" if signed else "binary-unsigned"
        for part, files in split_files(release, signed=signed).items():
            name = f"linux-{binary if part == 'binary' else part}-{release}"
            depends = f"linux-base-{release} (= {version})" if part != "base" else ""
            self.add(suite, name, version, files, depends)
        meta = f"linux-{binary}-{release} (= {version}), linux-base-{release} (= {version})"
        self.add(suite, f"linux-image-{release}", version, {}, meta)
