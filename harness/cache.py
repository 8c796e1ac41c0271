"""What was fetched or built once and is kept between runs.

Below the root::

    blobs/sha256/ab/abcd...   files, named by their contents
    KIND/KEY/                 directories, built at once or not at all
    KIND/KEY.json             small records
    locks/                    one file a lock (flock: gone with its process, so never stale)

Anything here may be deleted at any time while no harness runs; it is then fetched or built again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from harness.errors import HostError

ENVIRONMENT = "HARNESS_CACHE"
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=,@-]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FULL = {errno.ENOSPC, errno.EDQUOT}
_BLOCK_BYTES = 2**20


def default_cache(environ: Mapping[str, str] | None = None) -> Cache:
    """The cache named by HARNESS_CACHE, else ``~/.cache/harness``. Nothing is created yet.

    Raises:
        HostError: there is no home directory to put it in.
    """
    named = (os.environ if environ is None else environ).get(ENVIRONMENT, "")
    try:
        root = Path(named).expanduser() if named else Path.home() / ".cache/harness"
    except RuntimeError as error:
        raise HostError("the home directory is not known", hint=f"set {ENVIRONMENT} to a directory") from error
    return Cache(root.absolute())


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's contents, 64 lower case hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Cache:
    """A directory of blobs, built directories and records; safe for several processes at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # Blobs

    def add_blob(self, source: Path, *, sha256: str = "") -> str:
        """Copy a file in and return its SHA-256.

        Raises:
            HostError: the contents are not those of ``sha256``, or the cache cannot be written.
            OSError: ``source`` cannot be opened.
        """
        with source.open("rb") as file, self.explained(), self._temporary("blobs") as temporary:
            copy = temporary / "blob"
            found = _copy(file, copy)
            if sha256 and found != sha256:
                raise HostError(
                    f"{source.name} is damaged: its SHA-256 is {found}, expected {sha256}", hint="fetch it again"
                )
            target = self._blob(found)
            target.parent.mkdir(parents=True, exist_ok=True)
            copy.chmod(0o444)
            copy.replace(target)
        return found

    def blob(self, sha256: str) -> Path | None:
        """The blob, or None. It is hashed at each use (0.1 s for 50 MB); a damaged one is removed and not given out."""
        path = self._blob(sha256)
        with self.explained():
            if not path.is_file():
                return None
            if sha256_of(path) == sha256:
                return path
            path.unlink()
        return None

    def _blob(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is not a SHA-256")
        return self.root / "blobs/sha256" / sha256[:2] / sha256

    # Directories

    def find(self, kind: str, key: str) -> Path | None:
        """The finished directory, or None."""
        path = self._path(kind, key)
        return path if path.is_dir() else None

    def get(self, kind: str, key: str, build: Callable[[Path], None]) -> Path:
        """The finished directory; ``build`` fills a new one when there is none. Two processes never build the same."""
        found = self.find(kind, key)
        if found is not None:
            return found
        with self.lock(f"{kind}.{key}"):
            found = self.find(kind, key)
            if found is None:
                with self._building(kind, key) as directory:
                    build(directory)
        return self._path(kind, key)

    @contextlib.contextmanager
    def building(self, kind: str, key: str) -> Iterator[Path]:
        """An empty directory that becomes ``kind/key`` when the block ends well, in place of an older one.

        When the block raises, or is interrupted, the directory is removed and the older one stays. The lock of
        ``kind/key`` is held meanwhile; use :meth:`get` where building twice would be a waste.

        Raises:
            HostError: the cache cannot be written, or its disk is full.
        """
        with self.lock(f"{kind}.{key}"), self._building(kind, key) as directory:
            yield directory

    @contextlib.contextmanager
    def _building(self, kind: str, key: str) -> Iterator[Path]:
        target = self._path(kind, key)
        with self._temporary(kind, f".{key}@") as temporary:
            new = temporary / "new"
            with self.explained():
                new.mkdir()
            try:
                yield new
            except OSError as error:
                if error.errno in _FULL:
                    raise self._error(error) from error
                raise
            with self.explained():
                if target.exists():
                    target.rename(temporary / "old")
                new.rename(target)

    # Records

    def read_record(self, kind: str, key: str) -> str | None:
        """The text kept by :meth:`write_record`, or None."""
        path = self._path(kind, f"{key}.json")
        with self.explained():
            return path.read_text(encoding="utf-8") if path.is_file() else None

    def write_record(self, kind: str, key: str, text: str) -> Path:
        """Keep a small text, whole or not at all."""
        path = self._path(kind, f"{key}.json")
        with self.explained(), self._temporary(kind) as temporary:
            new = temporary / "record"
            new.write_text(text, encoding="utf-8")
            new.replace(path)
        return path

    # Locks

    @contextlib.contextmanager
    def lock(self, name: str, *, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold a lock against other processes and threads; ``waiting`` is called when another has it."""
        path = self._path("locks", name)
        with self.explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("ab")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    # Helpers

    def _path(self, kind: str, key: str) -> Path:
        for part in (kind, key):
            if not _KEY.fullmatch(part):
                raise ValueError(f"{part!r} cannot name something in the cache")
        return self.root / kind / key

    @contextlib.contextmanager
    def _temporary(self, kind: str, prefix: str = ".new@") -> Iterator[Path]:
        with self.explained():
            parent = self.root / kind
            parent.mkdir(parents=True, exist_ok=True)
            if prefix != ".new@":  # the lock is held, so these are left over from a killed process
                for stale in parent.iterdir():
                    if stale.name.startswith(prefix):
                        shutil.rmtree(stale, ignore_errors=True)
            temporary = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turn an OSError of the block, which does nothing but write to the cache, into a HostError with a hint."""
        try:
            yield
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> HostError:
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            return HostError(
                f"the disk of the cache {self.root} is full",
                hint=f"free some space, or set {ENVIRONMENT} to a directory on another disk",
            )
        where = f" ({error.filename})" if error.filename and str(error.filename) != str(self.root) else ""
        return HostError(
            f"the cache {self.root} cannot be used: {reason}{where}",
            hint=f"make it readable and writable for this user, or set {ENVIRONMENT} to another directory",
        )


def _copy(source: BinaryIO, target: Path) -> str:
    digest = hashlib.sha256()
    with target.open("xb") as new:
        while block := source.read(_BLOCK_BYTES):
            digest.update(block)
            new.write(block)
    return digest.hexdigest()
