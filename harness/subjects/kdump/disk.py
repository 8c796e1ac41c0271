"""The file behind the disk that a capture kernel writes to: made with holes, taken out of the machine, sealed once."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from harness.errors import HostError
from harness.model.record import VMCORE_INCOMPLETE, VmcoreEntry
from harness.record.store import RunWriter
from harness.subjects.kdump.plan import DISK

RAW = "vmcore"
FLATTENED = "vmcore.flat"
NAMES = (RAW, FLATTENED, VMCORE_INCOMPLETE)


def create(directory: Path, size_bytes: int) -> None:
    """Make the disk, if there is to be one.

    Raises:
        OSError: it cannot be written.
    """
    if size_bytes:
        with (directory / DISK).open("wb") as file:
            file.truncate(size_bytes)


def take(writer: RunWriter, epoch: int, name: str, size_bytes: int) -> None:
    """The disk's first ``size_bytes`` become the file ``name`` of the record. QEMU may still have it open, for no more
    writes.

    Raises:
        HostError: it cannot be done.
    """
    path = writer.directory / name
    try:
        os.rename(writer.directory / DISK, path)
        os.truncate(path, min(size_bytes, path.stat().st_size))
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "blake2b").hexdigest()
        size = path.stat().st_size
    except OSError as error:
        raise HostError(f"{path}: the vmcore cannot be kept ({error.strerror})") from error
    writer.append(VmcoreEntry(t_s=writer.now_s(), epoch=epoch, file=name, size_bytes=size, blake2b=digest))


def leave(writer: RunWriter, epoch: int) -> None:
    """At the end of a run: a disk that nobody took is no vmcore; it is kept under another name if anything is on it.

    Raises:
        HostError: it cannot be done.
    """
    path = writer.directory / DISK
    try:
        if not path.exists():
            return
        if not path.stat().st_blocks:
            path.unlink()
            return
        with path.open("rb") as file:
            end = _data_end(file.fileno(), path.stat().st_size)
    except OSError as error:
        raise HostError(f"{path}: the vmcore cannot be kept ({error.strerror})") from error
    take(writer, epoch, VMCORE_INCOMPLETE, end)


def _data_end(descriptor: int, size_bytes: int) -> int:
    """Where the last data of a file with holes ends; its size where the file system does not tell."""
    at = end = 0
    while at < size_bytes:
        try:
            at = os.lseek(descriptor, at, os.SEEK_DATA)
            at = end = os.lseek(descriptor, at, os.SEEK_HOLE)
        except OSError:
            break
    return end or size_bytes
