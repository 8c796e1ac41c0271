"""A log as people have it, a file or a pipe, compressed or not, opened for reading in pieces."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import shutil
import stat
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from harness.errors import InputError

STDIN = "-"
MAX_UNPACKED_BYTES = 16 << 30
"""A file that unpacks to more is not believed to be a log."""
_CHUNK_BYTES = 1 << 20
_LOOKED_AT_BYTES = 8192


@dataclass(frozen=True)
class FileLog:
    """A file that can be read at any place: a ``harness.evidence.crash.Log``."""

    file: IO[bytes]
    size: int

    def read(self, start: int, end: int) -> bytes:
        """``[start:end]``, shorter where the log ends.

        Raises:
            OSError: the file cannot be read any more.
        """
        start = max(0, start)
        self.file.seek(start)
        return self.file.read(max(0, min(end, self.size) - start))


_Unpack = Callable[[BinaryIO], gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile]
_PACKED: tuple[tuple[bytes, str, _Unpack | None], ...] = (
    (b"\x1f\x8b", "gzip", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", "bzip2", bz2.BZ2File),
    (b"\xfd7zXZ\0", "xz", lzma.LZMAFile),
    (b"\x28\xb5\x2f\xfd", "zstd", None),
)
_REFUSED: tuple[tuple[bytes, str], ...] = (
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"\x89LZO", "lzop"),
    (b"LZIP", "lzip"),
    (b"\x1f\x9d", "compress"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7-zip"),
)
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@contextmanager
def open_log(name: str) -> Iterator[FileLog]:
    """The log ``name``, ``-`` for standard input. What is compressed is unpacked into a temporary file.

    Raises:
        InputError: it cannot be read or unpacked, or is no text.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(_plain(name, stack))
            head = file.read(_LOOKED_AT_BYTES)
            if is_binary(head):
                raise InputError(
                    f"{name}: not a console log: it begins with binary data", hint="give the text that was printed"
                )
            yield FileLog(file, file.seek(0, 2))
        except OSError as error:
            raise InputError(f"{name}: {(error.strerror or str(error)).lower()}") from error


def is_binary(head: bytes) -> bool:
    """Whether the beginning of a file is no text.

    More than an eighth are control characters, where a console has a few NULs, colours and cursor movements; or more
    than a third are bytes that no character of UTF-8 has, as in what is encrypted or packed by an unknown program.
    """
    controls = len(head) - len(head.translate(None, bytes(range(7)) + bytes(range(14, 27)) + bytes(range(28, 32))))
    broken = head.decode("utf-8", "replace").count("\ufffd")
    return controls * 8 > len(head) or broken * 3 > len(head)


def _plain(name: str, stack: ExitStack) -> IO[bytes]:
    """The file, seekable and at its beginning, unpacked and in UTF-8."""
    source: BinaryIO = (
        sys.stdin.buffer if name == STDIN else stack.enter_context(Path(name).open("rb", buffering=0))  # noqa: SIM115
    )
    file: BinaryIO = source if name != STDIN and stat.S_ISREG(Path(name).stat().st_mode) else _spooled(name, source)
    head = file.read(8)
    file.seek(0)
    for magic, program, unpack in _PACKED:
        if head.startswith(magic):
            return _unpacked(name, program, file, unpack)
    for magic, program in _REFUSED:
        if head.startswith(magic):
            raise InputError(f"{name}: not a console log: it is packed by {program}", hint="unpack it first")
    if encoding := _UTF16.get(head[:2]):
        return _recoded(file, encoding)
    return file


def _spooled(name: str, source: IO[bytes]) -> BinaryIO:
    """A copy of what can be read once only."""
    copy = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the caller closes it
    size = 0
    while chunk := source.read(_CHUNK_BYTES):
        size += copy.write(chunk)
        if size > MAX_UNPACKED_BYTES:
            raise InputError(
                f"{name}: it has more than {MAX_UNPACKED_BYTES >> 30} GiB", hint="give the part that matters"
            )
    copy.seek(0)
    return copy


def _unpacked(name: str, program: str, file: BinaryIO, unpack: _Unpack | None) -> IO[bytes]:
    try:
        if unpack is None:
            return _by_zstd(name, file)
        with unpack(file) as source:
            return _spooled(name, cast(IO[bytes], source))
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise InputError(
            f"{name}: it is packed by {program}, and damaged: {str(error).lower()}", hint="get the whole file"
        ) from error


def _by_zstd(name: str, file: BinaryIO) -> IO[bytes]:
    """Unpacked by the program, since the standard library of Python 3.11 cannot."""
    if shutil.which("zstd") is None:
        raise InputError(
            f"{name}: it is packed by zstd, and there is no program zstd here", hint="install zstd, or unpack it first"
        )
    command = ["zstd", "--decompress", "--stdout", "--quiet"]
    with subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            copy = _spooled(name, process.stdout)
        except InputError:
            process.kill()
            raise
    if process.returncode != 0:
        raise OSError("zstd cannot unpack it")
    return copy


def _recoded(file: BinaryIO, encoding: str) -> IO[bytes]:
    """In UTF-8: what Windows writes where a terminal's output is redirected."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    copy = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the caller closes it
    while chunk := file.read(_CHUNK_BYTES):
        copy.write(decoder.decode(chunk).encode())
    copy.seek(0)
    return copy
