"""The guest's initramfs: packaged tools, the kernel's own modules, the agent's scripts, and padding.

The padding makes the initrd large enough that a kernel which does not know of a table would place it there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HostError, InputError
from harness.guest import newc, pad
from harness.guest.modules import DOM0_WANTED, TPM_DRIVERS, WANTED, ModuleSet, collect
from harness.guest.tools import FILES, HELPERS, DumpTools, GuestTools, build_helper, find_dump_tools
from harness.model.kernel import KernelImage
from harness.model.names import TpmInterface

PAD_NAME = "pad"
_SCRIPTS = ("commands.sh", "facts.sh", "kdump.sh", "link.sh", "pagetables.sh", "runtime.sh")
_EMPTY = ("proc", "sys", "dev", "run", "modules", "harness", "bin", "lib")


@dataclass(frozen=True)
class Initrd:
    path: Path
    size_bytes: int
    sha256: str
    pad_tag: bytes
    """The four bytes in each unit of the padding that tell this initrd from others; see ``harness.guest.pad``."""
    pad_offset_bytes: int
    """Where the padding begins in the file."""
    modules: tuple[str, ...]
    """In the order they are loaded."""
    builtin: tuple[str, ...]
    absent: tuple[str, ...]


def build_initrd(
    kernel: KernelImage,
    tools: GuestTools,
    pad_bytes: int,
    directory: Path,
    *,
    capture: bool = False,
    tpm: TpmInterface | None = None,
    dom0: bool = False,
) -> Initrd:
    """Build the initramfs for a kernel into ``directory``, named by its hash; one that is there already is used again.

    The same kernel, tools and padding give the same bytes. ``pad_bytes`` is the exact size of the file ``/pad``.
    The initramfs of a ``capture`` kernel has makedumpfile, too, one for a machine with a ``tpm`` its driver, and that
    of a ``dom0`` the way to talk to Xen.

    Raises:
        InputError: the padding does not fit in an archive, or the kernel's modules are broken.
        HostError: a tool failed, or the directory cannot be written.
    """
    if not 0 <= pad_bytes <= newc.MAX_FILE_BYTES:
        raise InputError(f"an initrd cannot be padded with {pad_bytes} bytes", hint="choose less than 4GiB")
    more = (TPM_DRIVERS[tpm],) if tpm else ()
    modules = collect(kernel.modules, (*WANTED, *more, *(DOM0_WANTED if dom0 else ())))
    helpers = {name: build_helper(tools, directory, name) for name in HELPERS}
    members = contents(modules, tools, helpers, find_dump_tools() if capture else None)
    tag = hashlib.sha256(b"".join(newc.write(members))).digest()[: pad.TAG_BYTES]
    padding = newc.file(PAD_NAME, newc.Stream(pad_bytes, lambda: pad.chunks(tag, pad_bytes)))
    members.append(padding)
    digest, size = hashlib.sha256(), 0
    for piece in newc.write(members):
        digest.update(piece)
        size += len(piece)
    trailer_bytes = len(newc.header(newc.Entry("TRAILER!!!", 0), 0))
    return Initrd(
        _store(directory, members, digest.hexdigest(), size),
        size,
        digest.hexdigest(),
        tag,
        size - trailer_bytes - pad_bytes - (-pad_bytes % 4),
        tuple(module.name for module in modules.load),
        modules.builtin,
        modules.absent,
    )


def contents(
    modules: ModuleSet, tools: GuestTools, helpers: Mapping[str, Path], dump: DumpTools | None = None
) -> list[newc.Entry]:
    """Everything but the padding, in an order that depends on nothing but the contents."""
    entries = [
        newc.file("init", (FILES / "init").read_bytes(), executable=True),
        newc.file("bin/busybox", _read(tools.busybox), executable=True),
        newc.symlink("bin/sh", "busybox"),
        newc.file("bin/kexec", _read(tools.kexec), executable=True),
        *(newc.file(f"bin/{name}", _read(path), executable=True) for name, path in helpers.items()),
        # Without it the kernel warns "unable to open an initial console" and init has no standard output.
        newc.character_device("dev/console", 5, 1),
        newc.file("modules/list", module_list(modules)),
        *(newc.file(f"harness/{name}", (FILES / name).read_bytes()) for name in _SCRIPTS),
        *(newc.file("bin/makedumpfile", _read(tool.makedumpfile), executable=True) for tool in (dump,) if tool),
        *(newc.file(name, _read(path), executable=True) for name, path in _libraries(tools, dump)),
        *(newc.file(f"modules/{module.name}.ko", module.content) for module in modules.load),
    ]
    names = [entry.name for entry in entries] + [f"{name}/" for name in _EMPTY]
    return newc.parents(names) + entries


def _libraries(tools: GuestTools, dump: DumpTools | None) -> list[tuple[str, Path]]:
    return sorted({**dict(tools.libraries), **dict(dump.libraries if dump else ())}.items())


def module_list(modules: ModuleSet) -> bytes:
    """``NAME FILE`` lines in load order, and ``NAME built-in`` or ``NAME absent`` for the others."""
    lines = [f"{module.name} {module.name}.ko" for module in modules.load]
    lines += [f"{name} built-in" for name in modules.builtin] + [f"{name} absent" for name in modules.absent]
    return "".join(line + "\n" for line in lines).encode()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}", hint="run `harness doctor`") from error


def _store(directory: Path, members: list[newc.Entry], sha256: str, size_bytes: int) -> Path:
    """Write the archive under its hash, unless it is there whole."""
    path = directory / f"initrd-{sha256}.cpio"
    try:
        if path.is_file() and path.stat().st_size == size_bytes and _sha256(path) == sha256:
            return path
        directory.mkdir(parents=True, exist_ok=True)
        with _replacing(path) as descriptor, open(descriptor, "wb") as out:
            out.writelines(newc.write(members))
    except OSError as error:
        raise HostError(f"cannot write {path}: {error.strerror}", hint="choose another cache directory") from error
    return path


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[int]:
    """A descriptor whose file takes the name ``path`` when the block ends well, and vanishes when it does not."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".initrd-")
    try:
        os.fchmod(descriptor, 0o644)
        yield descriptor
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
