"""Which kernel modules the guest loads, and in what order.

A Debian kernel package has no ``modules.dep`` (depmod makes it at installation), so what a module depends on is read
from the module itself: modpost writes it as ``depends=`` into ``.modinfo`` (scripts/mod/modpost.c, add_depends).
"""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HostError, InputError
from harness.guest.elf import modinfo
from harness.guest.tools import run
from harness.model.names import TpmInterface

WANTED = ("virtio_pci", "virtio_blk", "qemu_fw_cfg", "pvpanic", "pvpanic_mmio", "pvpanic_pci", "efivarfs")
"""``pvpanic`` up to 5.12, ``pvpanic_mmio`` and ``pvpanic_pci`` since; whichever is there."""
TPM_DRIVERS = {TpmInterface.TIS: "tpm_tis", TpmInterface.CRB: "tpm_crb"}
"""For machines with a TPM only: modules on Debian 5.10, built in since."""
DOM0_WANTED = ("xen_privcmd",)
"""For a dom0: kexec-tools hands a kernel to Xen through /dev/xen/privcmd."""


@dataclass(frozen=True)
class Module:
    name: str
    content: bytes
    """The ELF file, decompressed: busybox insmod knows no compression, and the kernel only since 5.17."""


@dataclass(frozen=True)
class ModuleSet:
    load: tuple[Module, ...]
    """In order: each after everything it depends on."""
    builtin: tuple[str, ...]
    absent: tuple[str, ...]


def collect(tree: Path | None, wanted: Iterable[str] = WANTED) -> ModuleSet:
    """The wanted modules and everything they depend on.

    Args:
        tree: ``lib/modules/RELEASE``, or None for a kernel without modules: then every name is absent.

    Raises:
        HostError: a compressed module cannot be unpacked on this host.
        InputError: a module depends on another that is not there, on itself in a circle, or is no module.
    """
    if tree is None:
        return ModuleSet((), (), tuple(wanted))
    files, builtin = index(tree), read_builtin(tree)
    loaded: dict[str, Module] = {}
    for name in wanted:
        if name in files:
            _add(name, files, builtin, loaded, ())
    missing = [name for name in wanted if name not in files]
    return ModuleSet(
        tuple(loaded.values()),
        tuple(name for name in missing if name in builtin),
        tuple(name for name in missing if name not in builtin),
    )


def _add(
    name: str, files: dict[str, Path], builtin: frozenset[str], loaded: dict[str, Module], above: tuple[str, ...]
) -> None:
    if name in loaded or (name in builtin and name not in files):
        return
    if name in above:
        raise InputError(f"the modules {', '.join(above)} depend on each other in a circle")
    if name not in files:
        raise InputError(
            f"the module {above[-1]} depends on {name}, which is not in the kernel's module directory",
            hint="fetch or install the kernel's modules package again",
        )
    content = unpack(files[name])
    try:
        depends = modinfo(content).get("depends", "")
    except ValueError as error:
        raise InputError(f"{files[name]}: {error}") from error
    for other in depends.split(","):
        if other:
            _add(canonical(other), files, builtin, loaded, (*above, name))
    loaded[name] = Module(name, content)


def canonical(name: str) -> str:
    """The kernel does not distinguish ``-`` and ``_`` in module names; files have either."""
    return name.replace("-", "_")


def index(tree: Path) -> dict[str, Path]:
    """Module name to file. What was installed later (``updates``, ``extra``) does not hide the kernel's own."""
    found: dict[str, Path] = {}
    for path in sorted(tree.rglob("*.ko*"), key=lambda path: (path.relative_to(tree).parts[0] != "kernel", path)):
        stem, dot, packing = path.name.partition(".ko")
        if dot and packing in _UNPACKED_BY:
            found.setdefault(canonical(stem), path)
    return found


def read_builtin(tree: Path) -> frozenset[str]:
    """The names in ``modules.builtin``; empty when there is no such file."""
    path = tree / "modules.builtin"
    if not path.is_file():
        return frozenset()
    return frozenset(canonical(Path(line).name.partition(".ko")[0]) for line in path.read_text().splitlines() if line)


def unpack(path: Path) -> bytes:
    """A module's ELF file.

    Raises:
        HostError: it cannot be read, or the zstd program is missing.
        InputError: its compression is broken.
    """
    try:
        data = path.read_bytes()
        return _UNPACKED_BY[path.name.partition(".ko")[2]](data)
    except (lzma.LZMAError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is damaged: {error}", hint="fetch the kernel package again") from error
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error


def _unzstd(data: bytes) -> bytes:
    # Python has zstd from 3.14 on (PEP 784); the program is there on every Debian host that builds packages.
    return run(["zstd", "-q", "-d", "-c"], package="zstd", stdin=data)


_UNPACKED_BY: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".xz": lzma.decompress,
    ".gz": gzip.decompress,
    ".zst": _unzstd,
}
