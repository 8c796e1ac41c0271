"""A log as bytes, from a file or standard input, also when it is compressed."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from harness.errors import InputError

STDIN = "-"
_MIB = 2**20
_LOOKED_AT_BYTES = 8192
_ZSTD = b"\x28\xb5\x2f\xfd"
_READERS: tuple[tuple[bytes, str, Callable[[BinaryIO], io.BufferedIOBase]], ...] = (
    (b"\x1f\x8b", "gzip", lambda raw: gzip.GzipFile(fileobj=raw)),
    (b"\xfd7zXZ\x00", "xz", lzma.LZMAFile),
    (b"\x5d\x00\x00", "lzma", lzma.LZMAFile),
    (b"BZh", "bzip2", bz2.BZ2File),
)
"""First bytes, name, and what reads it. zstd is in no Python before 3.14."""
_PACKED = (
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"\x04\x22\x4d\x18", "compressed with lz4"),
    (b"\x1f\x9d", "compressed with compress"),
    (b"\x89LZO", "compressed with lzop"),
    (b"LZIP", "compressed with lzip"),
)
_UTF16 = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def read_log(name: str, limit_bytes: int) -> bytes:
    """All of a log, unpacked (gzip, xz, lzma, bzip2, zstd), in UTF-8 where it was UTF-16, without a byte order mark.

    Args:
        name: a file; ``-`` is standard input.
        limit_bytes: more than this, unpacked too, is no console log.

    Raises:
        InputError: it cannot be read, is too long, is packed otherwise or wrongly, or is no text.
    """
    data = _unpacked(name, _raw(name, limit_bytes), limit_bytes)
    for mark, encoding in _UTF16:
        if data.startswith(mark):
            data = data[len(mark) :].decode(encoding, "replace").encode()
    data = data.removeprefix(codecs.BOM_UTF8)
    for magic, what in _PACKED:
        if data.startswith(magic):
            raise InputError(f"{name}: is {what}, which is not read", hint="unpack it first")
    if _is_binary(data[:_LOOKED_AT_BYTES]):
        raise InputError(f"{name}: not a log: it begins with binary data", hint="give a console log, as text")
    return data


def _raw(name: str, limit_bytes: int) -> bytes:
    try:
        if name == STDIN:
            data = sys.stdin.buffer.read(limit_bytes + 1)
        else:
            with Path(name).open("rb") as stream:
                data = stream.read(limit_bytes + 1)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InputError(f"{name}: {reason}") from error
    return _limited(name, data, limit_bytes)


def _limited(name: str, data: bytes, limit_bytes: int) -> bytes:
    if len(data) > limit_bytes:
        raise InputError(
            f"{name}: bigger than {limit_bytes // _MIB} MiB; this is no console log",
            hint="cut out the part of one boot",
        )
    return data


def _unpacked(name: str, data: bytes, limit_bytes: int) -> bytes:
    if data.startswith(_ZSTD):
        return _limited(name, _zstd(name, data, limit_bytes), limit_bytes)
    for magic, what, opened in _READERS:
        if data.startswith(magic):
            try:
                return _limited(name, opened(io.BytesIO(data)).read(limit_bytes + 1), limit_bytes)
            except (OSError, EOFError, lzma.LZMAError, ValueError) as error:
                raise InputError(f"{name}: damaged {what} data: {error}", hint="fetch the file again") from error
    return data


def _zstd(name: str, data: bytes, limit_bytes: int) -> bytes:
    """By the program, which stops at its closed pipe when there is too much."""
    with tempfile.TemporaryFile() as source:
        source.write(data)
        source.seek(0)
        try:
            with subprocess.Popen(
                ("zstd", "-dcq"), stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            ) as process:
                assert process.stdout is not None  # noqa: S101 - PIPE was asked for
                assert process.stderr is not None  # noqa: S101 - PIPE was asked for
                found = process.stdout.read(limit_bytes + 1)
                process.stdout.close()
                said = process.stderr.read().decode(errors="replace").strip()
        except FileNotFoundError as error:
            raise InputError(
                f"{name}: is compressed with zstd, and there is no program zstd",
                hint="install zstd, or unpack it first",
            ) from error
    if process.returncode and len(found) <= limit_bytes:
        raise InputError(f"{name}: damaged zstd data: {said.splitlines()[-1] if said else 'unreadable'}")
    return found


def _is_binary(head: bytes) -> bool:
    """Whether more than an eighth is control characters; a console has a few NULs, colours and cursor movements."""
    controls = len(head) - len(head.translate(None, bytes(range(7)) + bytes(range(14, 27)) + bytes(range(28, 32))))
    return controls * 8 > len(head)
