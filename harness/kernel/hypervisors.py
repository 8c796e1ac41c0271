"""A hypervisor entry becomes a xen.efi on disk: its package chosen, downloaded and unpacked once, then kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from harness import clock
from harness.cache import Cache, sha256_of
from harness.errors import HostError, InputError
from harness.kernel.debian import deb, fetch
from harness.kernel.debian.apt import Machine, Progress
from harness.kernel.debian.packages import Package, version_key
from harness.kernel.entries import HypervisorEntry
from harness.kernel.registry import Registry
from harness.model.base import Value
from harness.model.kernel import HypervisorImage, PackageRef

TREES = "hypervisors"
RECORDS = "resolved-hypervisors"
_IMAGE = re.compile(r"boot/xen-[0-9.]+-amd64\.efi")
_FILE = "xen.efi"


class _Chosen(Value):
    """What an entry came to; the next run needs no network and tests the same hypervisor."""

    wanted: str
    key: str
    image_sha256: str
    package: PackageRef
    at: str


def resolve_hypervisor(
    name: str,
    registry: Registry,
    cache: Cache,
    *,
    offline: bool = False,
    refresh: bool = False,
    progress: Progress = lambda _text: None,
    machine: Callable[[], Machine] = Machine.read,
) -> HypervisorImage:
    """The hypervisor called ``name``, fetched when it is not in the cache yet.

    Args:
        offline: Never use the network.
        refresh: Look for a newer package although one was fetched before.

    Raises:
        InputError: there is no such entry, or it is a kernel's.
        HostError: it cannot be fetched here.
    """
    known = f"known: {', '.join(registry.hypervisors) or 'none'}"
    if name not in (*registry.names, *registry.hypervisors):
        raise InputError(f"there is no hypervisor {name!r}", hint=known)
    entry = registry.entry(name)
    if not isinstance(entry, HypervisorEntry):
        raise InputError(f"{name} is a kernel, not a hypervisor", hint=known)
    found = None if refresh else _kept(entry, cache)
    if found is not None:
        return found
    if offline:
        raise HostError(f"{name} is not in the cache", hint=f"with a network: harness kernels fetch {name}")
    with cache.lock(f"fetch.{name}", waiting=lambda: progress(f"{name}: waiting for another harness that fetches it")):
        found = None if refresh else _kept(entry, cache)
        return found or _fetch(entry, cache, machine(), progress)


def _kept(entry: HypervisorEntry, cache: Cache) -> HypervisorImage | None:
    text = cache.read_record(RECORDS, entry.name)
    try:
        record = _Chosen.model_validate_json(text) if text is not None else None
    except ValidationError:  # of another version of the harness, or cut short by hand
        return None
    if record is None or record.wanted != _wanted(entry):
        return None
    tree = cache.find(TREES, record.key)
    if tree is None or not (tree / _FILE).is_file() or sha256_of(tree / _FILE) != record.image_sha256:
        return None
    return _image(entry, tree / _FILE, record.image_sha256, record.package)


def _wanted(entry: HypervisorEntry) -> str:
    """The part of an entry that decides which package it means."""
    return entry.model_dump_json(include={"package", "suites", "pin"})


def _fetch(entry: HypervisorEntry, cache: Cache, machine: Machine, progress: Progress) -> HypervisorImage:
    suites = fetch.suites_of(entry.suites, machine, cache)
    known = fetch.look(entry.name, suites, lambda suite: suite.versions(entry.package), cache, progress)
    package = _choose(entry, known)
    progress(f"{entry.name}: {package.name} {package.version} from {package.suite}")
    blob = fetch.download(package, next(suite for suite in suites if suite.name == package.suite), cache, progress)
    key = fetch.tree_key(f"{package.name}_{package.version}", [package.sha256])
    with cache.building(TREES, key) as directory:
        deb.extract_file(blob, _IMAGE, directory / _FILE)
    path = cache.root / TREES / key / _FILE
    ref = PackageRef(name=package.name, version=package.version, suite=package.suite, sha256=package.sha256)
    record = _Chosen(
        wanted=_wanted(entry),
        key=key,
        image_sha256=sha256_of(path),
        package=ref,
        at=clock.utc().isoformat(timespec="seconds"),
    )
    cache.write_record(RECORDS, entry.name, record.model_dump_json(indent=1))
    return _image(entry, path, record.image_sha256, ref)


def _choose(entry: HypervisorEntry, known: list[Package]) -> Package:
    """The newest package, of equals that of the first suite, or exactly the pinned one."""
    kept = [package for package in known if entry.pin in (None, package.version)]
    if not kept:
        versions = ", ".join(dict.fromkeys(package.version for package in known))
        pinned = f" of version {entry.pin}" if entry.pin else ""
        raise HostError(
            f"{entry.name}: no {entry.package}{pinned} in {', '.join(entry.suites)}",
            hint=f"they have {versions}" if versions else "name another suite or package in the entry",
        )
    return max(kept, key=lambda package: (version_key(package.version), -entry.suites.index(package.suite)))


def _image(entry: HypervisorEntry, path: Path, sha256: str, package: PackageRef) -> HypervisorImage:
    version = re.search(r"\d+\.\d+", entry.package)
    return HypervisorImage(
        name=entry.name,
        version=version[0] if version else "",
        image=path,
        sha256=sha256,
        size_bytes=path.stat().st_size,
        packages=(package,),
    )
