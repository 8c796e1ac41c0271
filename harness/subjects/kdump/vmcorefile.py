"""A vmcore in a file: opened for random access, never read as a whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from harness.errors import HostError, InputError
from harness.evidence.vmcore import Dump, FileDefect, open_dump


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Dump | FileDefect]:
    """The dump in a file, or why it is none; the file is closed at the end of the block.

    Raises:
        InputError: there is no such file, or it cannot be opened.
        HostError: the disk failed; possibly later, when a page is read.
    """
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    with file:

        def read(offset: int, size: int) -> bytes:
            if file.closed:  # its descriptor may be another file's by now
                raise HostError(f"{path} is closed")
            try:
                return _pread(file.fileno(), offset, size)
            except OSError as error:
                raise HostError(f"cannot read {path}: {error.strerror}") from error

        yield open_dump(read, os.fstat(file.fileno()).st_size)


def _pread(descriptor: int, offset: int, size: int) -> bytes:
    """All that there is of the wanted bytes: one pread() gives at most 2 GiB and may give less."""
    if not 0 <= offset < 2**63 - size:
        return b""
    data = os.pread(descriptor, size, offset)
    while data and len(data) < size:
        more = os.pread(descriptor, size - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data
