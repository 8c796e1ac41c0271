"""The files of a run directory, read back: small ones whole and checked, big ones in pieces."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path

from harness.record.record import BigFile, UnreadableRecordError


def read_inside(directory: Path, name: str, files: Mapping[str, str]) -> bytes:
    """A file of the record, as it was when the run ended (``files``: the hashes from then; none while it runs).

    Raises:
        UnreadableRecordError: it cannot be read, is not what it was, or lies elsewhere.
    """
    path = directory / name
    if not path.resolve().is_relative_to(directory.resolve()):
        raise UnreadableRecordError(f"{name}: points outside the run directory")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableRecordError(f"{name}: {error.strerror}") from error
    if files and files.get(name) != hashlib.sha256(data).hexdigest():
        why = "is not what it was when the run ended" if name in files else "was not there when the run ended"
        raise UnreadableRecordError(f"{name}: {why} ({len(data)} bytes now)")
    return data


def open_big(directory: Path, opened: list[FileIO], name: str) -> BigFile | None:
    """A file of the record to be read in pieces, unchecked; it is put into ``opened``, to be closed.

    Raises:
        UnreadableRecordError: it cannot be opened, or lies elsewhere; its pieces, when they cannot be read.
    """
    path = directory / name
    if not path.resolve().is_relative_to(directory.resolve()):
        raise UnreadableRecordError(f"{name}: points outside the run directory")
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreadableRecordError(f"{name}: {error.strerror}") from error
    opened.append(file)

    def pieces(offset: int, size: int) -> bytes:
        found: list[bytes] = []
        while size > 0 and 0 <= offset < 1 << 62:
            try:
                piece = os.pread(file.fileno(), min(size, 1 << 30), offset)
            except OSError as error:
                raise UnreadableRecordError(f"{name}: {error.strerror}") from error
            if not piece:
                break
            found.append(piece)
            offset, size = offset + len(piece), size - len(piece)
        return b"".join(found)

    return BigFile(pieces, os.fstat(file.fileno()).st_size)


def read_payload(path: str, offset: int, size_bytes: int) -> bytes | None:
    """A piece of a file that the guest was given; None when it is no longer there."""
    try:
        with Path(path).open("rb") as stream:
            stream.seek(offset)
            return stream.read(size_bytes)
    except OSError:
        return None
