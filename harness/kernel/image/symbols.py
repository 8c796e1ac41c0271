"""The symbols of a kernel that can be booted: of its build where that is at hand, else out of the image itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.cache import Cache, sha256_of
from harness.errors import HarnessError, HostError
from harness.evidence.code import elfsymbols, kallsyms
from harness.evidence.code.symbols import SymbolTable
from harness.evidence.defect import Defect
from harness.kernel.image import payload
from harness.model.kernel import KernelImage

_CACHED = "symbols"
_FORMAT = 1
"""Raise when what is kept is made differently."""


def kernel_symbols(image: KernelImage, cache: Cache) -> SymbolTable | None:
    """The symbols of a kernel, as linked (see ``SymbolTable.shifted`` for KASLR); None when there are none.

    About two seconds the first time, 0.3 s from the cache.
    """
    found = read_symbols(image, cache)
    return found if isinstance(found, SymbolTable) else None


def read_symbols(image: KernelImage, cache: Cache) -> SymbolTable | Defect:
    """As :func:`kernel_symbols`, with the reason when there are none.

    The image's own kallsyms always count. A vmlinux or a System.map beside the image knows more (data, where the kernel
    was built without CONFIG_KALLSYMS_ALL), and is used when it has every symbol of the image at the same address, so
    that one left over from another build is not.
    """
    own = _of_image(image, cache)
    for path in _beside(image):
        more = read_file(path)
        if isinstance(more, SymbolTable) and (isinstance(own, Defect) or _agree(own, more)):
            return more
    return own


def read_file(path: Path) -> SymbolTable | Defect:
    """The symbols of a vmlinux, a bzImage, or a text such as /proc/kallsyms or System.map; else a Defect."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return Defect(f"{path} cannot be read: {error.strerror or error}")
    found = _of_bytes(data, str(path))
    return found if isinstance(found, SymbolTable) else Defect(f"{path}: {found.text}")


def _of_bytes(data: bytes, name: str) -> SymbolTable | Defect:
    if data[0x202:0x206] == b"HdrS":
        try:
            return kallsyms.decode(payload.unpack(data, name))
        except HarnessError as error:
            return Defect(str(error))
    if not data.startswith(b"\x7fELF"):
        return kallsyms.parse(data.decode("utf-8", "replace"))
    found = elfsymbols.read(data)
    if isinstance(found, SymbolTable):
        return found
    stripped = kallsyms.decode(data)
    return stripped if isinstance(stripped, SymbolTable) else found


def _beside(image: KernelImage) -> Iterable[Path]:
    """Where builds and distributions put what belongs to an image."""
    place, tree = image.image.parent, image.image.parents[3:4]
    told = () if image.vmlinux is None else (image.vmlinux,)
    built = [
        root / name for root in tree for name in ("vmlinux", "System.map") if place.parts[-3:-1] == ("arch", "x86")
    ]
    names = [place / "System.map", place / f"System.map-{image.release}"]
    return [path for path in (*told, *built, *names) if path.is_file()]


def _agree(own: SymbolTable, more: SymbolTable) -> bool:
    """Labels of the assembler (``.LC6``) do not count: Linux 5.10 has them in kallsyms, but not in System.map."""
    known = set(zip(more.addresses, more.names, strict=True))
    return all(one in known or one[1].startswith(".") for one in zip(own.addresses, own.names, strict=True))


def _of_image(image: KernelImage, cache: Cache) -> SymbolTable | Defect:
    key = f"{image.sha256}-{_FORMAT}"
    kept = cache.find(_CACHED, key)
    found = _kept(kept / "symbols") if kept is not None else None
    if found is not None:
        return found
    try:
        if sha256_of(image.image) != image.sha256:
            return Defect(f"{image.image} is not what it was when the kernel was read: its contents have changed")
        unpacked = payload.unpack(image.image.read_bytes(), str(image.image))
    except OSError as error:
        return Defect(f"{image.image} cannot be read: {error.strerror or error}")
    except HarnessError as error:
        return Defect(f"{error} ({error.hint})" if isinstance(error, HostError) and error.hint else str(error))
    decoded = kallsyms.decode(unpacked)
    if isinstance(decoded, SymbolTable):
        with cache.building(_CACHED, key) as directory:
            (directory / "symbols").write_text(_to_text(decoded), encoding="latin-1")
    return decoded


def _to_text(table: SymbolTable) -> str:
    rows = zip(table.addresses, table.types, table.names, strict=True)
    return f"{len(table)}\n" + "".join(f"{address:016x} {kind} {name}\n" for address, kind, name in rows)


def _kept(path: Path) -> SymbolTable | None:
    """None when it was cut short or changed by hand: it is made again then."""
    try:
        count, _, text = path.read_text(encoding="latin-1").partition("\n")
    except OSError:
        return None
    found = kallsyms.parse(text)
    return found if isinstance(found, SymbolTable) and count == str(len(found)) else None
