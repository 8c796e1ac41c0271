"""Reading Debian packages: ar(5) around tar archives, see deb(5). Nothing is executed but ``zstd -dc``."""

from __future__ import annotations

import contextlib
import io
import lzma
import re
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from harness.errors import HostError, InputError

_AR_MAGIC = b"!<arch>\n"
_TAR_MODES = {"": "r|", "gz": "r|gz", "xz": "r|xz", "bz2": "r|bz2"}
_BLOCK_BYTES = 2**20

_IMAGE = re.compile(r"boot/vmlinuz-(?P<a>[^/]+)|(?:usr/)?lib/modules/(?P<b>[^/]+)/vmlinuz(?:\.unsigned)?")
_CONFIG = re.compile(r"boot/config-(?P<a>[^/]+)|(?:usr/)?lib/modules/(?P<b>[^/]+)/config")
_MODULES = re.compile(r"(?:usr/)?lib/modules/(?P<release>[^/]+)/(?P<rest>modules\.[^/]+|.+\.ko(?:\.(?:xz|zst|gz))?)")

NOT_UNPACKED = (
    "kernel/sound/",
    "kernel/drivers/gpu/",
    "kernel/drivers/media/",
    "kernel/drivers/staging/",
    "kernel/drivers/infiniband/",
    "kernel/drivers/iio/",
    "kernel/drivers/net/wireless/",
    "kernel/drivers/net/ethernet/",
)
"""Modules for hardware that QEMU has not, or that no scenario uses: half of the bytes of a package."""


@dataclass(frozen=True)
class Control:
    """The fields of a package's control file that are used here."""

    package: str
    version: str
    depends: str


def read_control(path: Path) -> Control:
    """Name, version and dependencies.

    Raises:
        InputError: the file is missing or is no Debian package.
    """
    with _reading(path), _member(path, "control.tar") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None and PurePosixPath(member.name).name == "control":
                return _parse_control(file.read().decode("utf-8", "replace"))
    raise InputError(f"{path} is not a Debian package: it has no control file", hint="fetch or build it again")


def _parse_control(text: str) -> Control:
    fields = dict(line.split(":", 1) for line in text.splitlines() if re.match(r"[A-Za-z0-9-]+:", line))
    return Control(*(fields.get(name, "").strip() for name in ("Package", "Version", "Depends")))


def unpack_kernel(path: Path, directory: Path) -> tuple[str, ...]:
    """Unpack what belongs to a kernel: ``vmlinuz``, ``config`` and ``lib/modules/RELEASE/``.

    Of the modules all but those below ``NOT_UNPACKED`` are taken. Links, programs and documents are passed over.
    Several packages of one kernel may be unpacked into one directory.

    Returns:
        The releases the files belong to, usually one; none when there is nothing of a kernel in it.

    Raises:
        InputError: no Debian package, or a path in it leads out of the directory.
    """
    releases: dict[str, None] = {}
    with _reading(path), _member(path, "data.tar") as archive:
        for member in archive:
            found = _place(member.name, path)
            if found is None or not member.isfile():
                continue
            release, place = found
            releases[release] = None
            if place is not None:
                file = archive.extractfile(member)
                if file is not None:
                    _write(file, directory / place)
    return tuple(releases)


def extract_file(path: Path, pattern: re.Pattern[str], target: Path) -> str:
    """Write the first file of the package whose path matches as a whole to ``target``.

    Returns:
        Its path inside the package.

    Raises:
        InputError: no Debian package, or there is no such file in it.
    """
    with _reading(path), _member(path, "data.tar") as archive:
        for member in archive:
            clean = member.name.removeprefix("./")
            file = archive.extractfile(member) if member.isfile() and pattern.fullmatch(clean) else None
            if file is not None:
                _write(file, target)
                return clean
    raise InputError(f"{path} has no file {pattern.pattern} in it", hint="name another package")


def _place(name: str, path: Path) -> tuple[str, PurePosixPath | None] | None:
    """The release a file belongs to and where it goes (None: nowhere), or None when it is nothing of a kernel."""
    clean = name.removeprefix("./")
    if clean.startswith("/") or ".." in PurePosixPath(clean).parts:
        raise InputError(f"{path} has an unsafe path in it: {name!r}", hint="do not use this package")
    for pattern, place in ((_IMAGE, "vmlinuz"), (_CONFIG, "config")):
        match = pattern.fullmatch(clean)
        if match is not None:
            return match["a"] or match["b"], PurePosixPath(place)
    match = _MODULES.fullmatch(clean)
    if match is None:
        return None
    wanted = not match["rest"].startswith(NOT_UNPACKED)
    return match["release"], PurePosixPath("lib/modules", match["release"], match["rest"]) if wanted else None


def _write(file: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as new:
        shutil.copyfileobj(file, new, _BLOCK_BYTES)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if error.filename == "zstd":
            raise HostError(f"zstd is needed to read {path.name}", hint="apt-get install zstd") from error
        if error.filename == str(path):
            raise InputError(f"{path}: no such file") from error
        raise
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError) as error:
        raise InputError(f"{path} is damaged or truncated: {error}", hint="fetch or build it again") from error


class _Window(io.RawIOBase):
    """The bytes of one member of the ar archive."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._left = size_bytes

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data


@contextlib.contextmanager
def _member(path: Path, stem: str) -> Iterator[tarfile.TarFile]:
    """The tar archive ``stem[.xz|.gz|.bz2|.zst]`` inside the package, as a stream."""
    with path.open("rb") as file:
        compression, size_bytes = _seek(file, path, stem)
        window = _Window(file, size_bytes)
        if compression == "zst":
            with _unzstd(window) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
                yield archive
        elif compression in _TAR_MODES:
            with tarfile.open(fileobj=window, mode=_TAR_MODES[compression]) as archive:  # type: ignore[call-overload]
                yield archive
        else:
            raise InputError(f"{path}: {stem}.{compression} is compressed in a way that is not known here")


def _seek(file: BinaryIO, path: Path, stem: str) -> tuple[str, int]:
    """Go to the member's first byte; returns its compression and size. ar(5): 60-byte headers, even offsets."""
    if file.read(len(_AR_MAGIC)) != _AR_MAGIC:
        raise InputError(f"{path} is not a Debian package: it is no ar archive", hint="give a .deb file")
    while len(header := file.read(60)) == 60:
        if header[58:] != b"`\n" or not header[48:58].strip().isdigit():
            break
        name = header[:16].decode("ascii", "replace").strip().removesuffix("/")
        size_bytes = int(header[48:58])
        if name == stem or name.startswith(f"{stem}."):
            return name[len(stem) + 1 :], size_bytes
        file.seek(size_bytes + size_bytes % 2, io.SEEK_CUR)
    raise InputError(f"{path} is damaged or truncated: it has no {stem}", hint="fetch or build it again")


@contextlib.contextmanager
def _unzstd(window: _Window) -> Iterator[BinaryIO]:
    """The stdlib has no zstd before Python 3.14, so the program is used; Ubuntu packages need it, Debian's do not."""
    with tempfile.TemporaryFile() as packed:
        shutil.copyfileobj(window, packed, _BLOCK_BYTES)
        packed.seek(0)
        with subprocess.Popen(["zstd", "-dc"], stdin=packed, stdout=subprocess.PIPE) as process:
            if process.stdout is None:
                raise HostError("zstd has no output")
            try:
                yield process.stdout  # type: ignore[misc]
            finally:
                process.stdout.close()
