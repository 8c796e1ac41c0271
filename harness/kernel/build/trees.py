"""Where a kernel's source comes from: Debian's linux-source packages, a tarball, or a directory of the user's."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harness import clock
from harness.cache import Cache, sha256_of
from harness.errors import HostError, InputError
from harness.kernel.build import directories
from harness.kernel.build.recipe import SourceOrigin
from harness.kernel.debian import archive, deb
from harness.kernel.debian.apt import Machine, Progress
from harness.kernel.debian.packages import Package
from harness.kernel.image.store import tree_key
from harness.model.base import Value
from harness.model.kernel import PackageRef

TREES = "kernel-sources"
RECORDS = "resolved-sources"
UNPACKED_BYTES = 2 * 2**30
"""Room that unpacking needs; Linux 6.1 has 1.5 GB in 83000 files."""
_PACKED = re.compile(r"usr/src/linux-source-[^/]+\.tar\.(?:xz|bz2|gz)")


@dataclass(frozen=True)
class Tree:
    """A kernel source, found but perhaps not unpacked."""

    key: str
    """Names the contents: the same key, the same bytes."""
    place: str
    """Names where it comes from; a directory keeps it while it is edited, so builds there are incremental."""
    title: str
    """For people."""
    package: PackageRef | None
    open: Callable[[], Path]
    """The directory with the files, unpacked now if need be. It must not be changed.

    Raises:
        InputError: it is no kernel source.
        HostError: no space, or a program is missing.
    """
    fetch: Callable[[], object] = lambda: None
    """Download what :attr:`open` needs."""
    files: Callable[[], Sequence[str]] | None = None
    """What belongs to the source, when that is not simply every file."""


@dataclass(frozen=True)
class _Desk:
    """Who asks, and what may be done for it."""

    name: str
    cache: Cache
    machine: Machine | None
    offline: bool
    progress: Progress

    def need_network(self, what: str) -> None:
        if self.offline:
            hint = f"with a network: harness kernels fetch {self.name}"
            raise HostError(f"{self.name}: {what} is not in the cache", hint=hint)


class _Chosen(Value):
    """Which package a Debian source came to."""

    wanted: str
    package: PackageRef
    size_bytes: int
    at: str


def find_tree(
    name: str,
    origin: SourceOrigin,
    home: Path,
    cache: Cache,
    *,
    machine: Machine | None = None,
    offline: bool = False,
    refresh: bool = False,
    progress: Progress = lambda _text: None,
) -> Tree:
    """The source that an entry means; a Debian package is chosen once, and downloaded when the tree is opened.

    Args:
        home: What relative paths begin at.
        refresh: Look for a newer package although one was chosen before.

    Raises:
        InputError: there is no such file or directory.
        HostError: the package is not in the cache and cannot be fetched.
    """
    if origin.tarball is not None:
        return _tarball(home / Path(origin.tarball).expanduser(), cache, progress)
    if origin.tree is not None:
        return _directory(home / Path(origin.tree).expanduser())
    desk = _Desk(name, cache, machine, offline, progress)
    package = None if refresh else _recorded(origin, cache)
    return _debian(package or _choose(origin, desk), desk)


def _record_key(origin: SourceOrigin) -> str:
    digest = hashlib.sha256(origin.model_dump_json().encode()).hexdigest()
    return f"{origin.debian}-{digest[:12]}"


def _recorded(origin: SourceOrigin, cache: Cache) -> Package | None:
    text = cache.read_record(RECORDS, _record_key(origin))
    try:
        record = _Chosen.model_validate_json(text) if text is not None else None
    except ValidationError:  # of another version of the harness, or cut short by hand
        return None
    if record is None:
        return None
    ref = record.package
    return Package(ref.name, ref.version, ref.suite, ref.sha256, record.size_bytes)


def _choose(origin: SourceOrigin, desk: _Desk) -> Package:
    names, wanted, name, cache = origin.suites or (), origin.debian or "", desk.name, desk.cache
    desk.need_network(wanted)
    suites = archive.suites_of(names, desk.machine or Machine.read(), cache)
    found = archive.look(name, suites, lambda suite: suite.versions(wanted), cache, desk.progress)
    best = archive.newest(found, origin.pin, names, name=name, package=wanted)
    ref = PackageRef(name=best.name, version=best.version, suite=best.suite, sha256=best.sha256)
    record = _Chosen(
        wanted=origin.model_dump_json(),
        package=ref,
        size_bytes=best.size_bytes,
        at=clock.utc().isoformat(timespec="seconds"),
    )
    cache.write_record(RECORDS, _record_key(origin), record.model_dump_json(indent=1))
    return best


def _debian(package: Package, desk: _Desk) -> Tree:
    key = tree_key(f"{package.name}_{package.version}", [package.sha256])
    cache = desk.cache

    def packed_source() -> Path:
        blob = cache.blob(package.sha256)
        if blob is None:
            desk.need_network(f"{package.name} {package.version}")
            (suite,) = archive.suites_of([package.suite], desk.machine or Machine.read(), cache)
            suite.update()
            blob = archive.download(package, suite, cache, desk.progress)
        return blob

    def unpack(directory: Path) -> None:
        blob = packed_source()
        desk.progress(f"{desk.name}: unpacking {package.name} {package.version} (1.5 GB)")
        with tempfile.TemporaryDirectory(dir=directory.parent) as temporary:
            packed = Path(temporary, "source.tar")
            deb.extract_file(blob, _PACKED, packed)
            _untar(packed, directory, str(blob))

    return Tree(
        key=key,
        place=package.name,
        title=f"{package.name} {package.version} ({package.suite})",
        package=PackageRef(name=package.name, version=package.version, suite=package.suite, sha256=package.sha256),
        open=lambda: _unpacked(key, cache, unpack),
        fetch=packed_source,
    )


def _tarball(path: Path, cache: Cache, progress: Progress) -> Tree:
    if not path.is_file():
        raise InputError(f"{path}: no such file", hint="source.tarball is a file such as linux-6.12.tar.xz")
    digest = sha256_of(path)
    stem = re.sub(r"[^A-Za-z0-9.-]+", "-", path.name.split(".tar")[0]).strip("-.") or "source"
    key = f"{stem}-{digest[:12]}"

    def unpack(directory: Path) -> None:
        progress(f"unpacking {path.name}")
        _untar(path, directory, str(path))

    return Tree(key, str(path.absolute()), str(path), None, lambda: _unpacked(key, cache, unpack))


def _unpacked(key: str, cache: Cache, unpack: Callable[[Path], None]) -> Path:
    found = cache.find(TREES, key)
    if found is not None:
        return found
    need_space(cache, UNPACKED_BYTES, "unpack a kernel source")
    return cache.get(TREES, key, unpack)


def need_space(cache: Cache, size_bytes: int, purpose: str) -> None:
    """Better said before than after ten minutes.

    Raises:
        HostError: the cache's disk has less room.
    """
    with cache.explained():
        cache.root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(cache.root).free
    if free < size_bytes:
        raise HostError(
            f"the disk of the cache {cache.root} has {free / 2**30:.1f} GiB left, "
            f"{size_bytes / 2**30:.1f} GiB are needed to {purpose}",
            hint="free some space, or set HARNESS_CACHE to a directory on another disk",
        )


def _untar(packed: Path, directory: Path, name: str) -> None:
    """GNU tar, which is three times as fast as Python's; it drops leading slashes and refuses ``..`` by itself."""
    argv = ["tar", "-x", "--strip-components=1", "--no-same-owner", "-C", str(directory), "-f", str(packed)]
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        if any("No space left" in line for line in lines):
            raise HostError(
                "the disk of the cache is full",
                hint="free some space, or set HARNESS_CACHE to a directory on another disk",
            )
        raise InputError(f"{name} cannot be unpacked: {lines[0]}", hint="fetch it again; xz needs the package xz-utils")
    directories.check(directory, name)


def _directory(path: Path) -> Tree:
    if not path.is_dir():
        raise InputError(f"{path}: no such directory", hint="source.tree is the top directory of a kernel source")
    path = path.resolve()
    directories.check(path, str(path))
    key, title = directories.identify(path)
    return Tree(key, str(path), title, None, lambda: path, files=lambda: directories.files(path))
