"""The truth about symbols: what is read out of a kernel's image is what it says in /proc/kallsyms, byte for byte.

Only kernels that are in the cache; each boots by itself in QEMU, without firmware, with an initramfs that compares.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.cache import default_cache
from harness.errors import HarnessError
from harness.evidence.code import kallsyms
from harness.evidence.code.symbols import SymbolTable
from harness.guest import newc
from harness.guest.tools import find_program
from harness.kernel.image import payload
from harness.kernel.registry import Registry, resolve

KERNELS = Path(__file__).parents[2] / "kernels"
INIT = b"""\
#!/bin/sh
/busybox mount -t proc proc /proc
/busybox awk 'NF == 3' /proc/kallsyms > /seen
/busybox wc -l < /seen
/busybox cmp /seen /expected && echo kallsyms: as expected
/busybox reboot -f
"""
# One of each order of the tables (harness/evidence/code/kallsyms.py), and one with per-CPU symbols of its own.
NAMES = ("debian-5.10-cloud", "debian-6.1-cloud", "debian-6.12-cloud", "debian-7.3-cloud", "tiny-6.1")


def initramfs(table: SymbolTable) -> bytes:
    rows = zip(table.addresses, table.types, table.names, strict=True)
    expected = "".join(f"{address:016x} {kind} {name}\n" for address, kind, name in rows).encode("latin-1")
    busybox = find_program("busybox", "busybox-static").read_bytes()
    entries = [newc.file("init", INIT, executable=True), newc.file("busybox", busybox, executable=True)]
    entries += [newc.directory(name) for name in ("bin", "dev", "proc")]
    entries += [newc.symlink("bin/sh", "/busybox"), newc.character_device("dev/console", 5, 1)]
    return b"".join(newc.write([*entries, newc.file("expected", expected)]))


@pytest.mark.qemu
@pytest.mark.parametrize("name", NAMES)
def test_the_running_kernel_says_the_same(name: str, tmp_path: Path) -> None:
    try:
        image = resolve(name, Registry.load(KERNELS), default_cache(), offline=True).image
    except HarnessError as error:
        pytest.skip(f"{name} is not in the cache: {error}")
    table = kallsyms.decode(payload.unpack(image.read_bytes(), name))
    assert isinstance(table, SymbolTable)
    initrd = tmp_path / "initrd.cpio"
    initrd.write_bytes(initramfs(table))
    machine = ["qemu-system-x86_64", "-machine", "q35", "-cpu", "max", "-m", "1G", "-nodefaults", "-display", "none"]
    kernel = ["-kernel", str(image), "-initrd", str(initrd), "-append", "nokaslr console=ttyS0 quiet panic=-1"]
    done = subprocess.run(
        [*machine, "-no-reboot", "-serial", "stdio", *kernel],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=True, timeout=600,
    )  # fmt: skip
    assert "kallsyms: as expected" in done.stdout, done.stdout[-2000:]
    assert f"{len(table)}\n" in done.stdout.replace("\r", "")
