"""A Debian entry becomes a kernel on disk: choose the packages, download them, unpack them; all of it once."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from pydantic import ValidationError

from harness import clock
from harness.cache import Cache
from harness.errors import HostError
from harness.kernel.debian import packages, sources
from harness.kernel.debian.apt import Machine, Progress, Suite, SuiteMissing
from harness.kernel.debian.packages import Bundle, Package
from harness.kernel.entries import DebianEntry
from harness.kernel.image import images
from harness.model.base import Value
from harness.model.kernel import KernelImage, PackageRef

TREES = "kernels"
RECORDS = "resolved"
_FORMAT = 1
"""Raise when unpack() puts other files into a tree."""


class Resolved(Value):
    """What an entry came to; kept, so that the next run needs no network and tests the same kernel."""

    format: int = _FORMAT
    wanted: str
    """What the entry asked for: another series, suite or pin makes this record void."""
    key: str
    image_sha256: str
    packages: tuple[PackageRef, ...]
    download_bytes: int
    at: str
    """When, ISO 8601 in UTC."""


def wanted(entry: DebianEntry) -> str:
    """The part of an entry that decides which packages it means, as text."""
    return entry.model_dump_json(include={"series", "flavour", "suites", "pin"})


def recorded(name: str, cache: Cache) -> Resolved | None:
    """What ``name`` came to when it was last fetched, or None."""
    text = cache.read_record(RECORDS, name)
    if text is None:
        return None
    try:
        record = Resolved.model_validate_json(text)
    except ValidationError:  # of another version of the harness, or cut short by hand
        return None
    return record if record.format == _FORMAT else None


def restore(name: str, record: Resolved, cache: Cache) -> KernelImage | None:
    """The kernel of a record, from the tree or again from the packages; None when they are gone or damaged."""
    tree = cache.find(TREES, record.key)
    if tree is None or not images.intact(tree):
        blobs = [cache.blob(package.sha256) for package in record.packages]
        found = [blob for blob in blobs if blob is not None]
        if len(found) < len(blobs):
            return None
        tree = unpacked(record.key, found, cache)
    return images.from_tree(name, tree, record.packages, _config_package(record.packages))


def unpacked(key: str, debs: Sequence[Path], cache: Cache) -> Path:
    """The tree of these packages, unpacked unless it is there and intact."""
    tree = cache.get(TREES, key, lambda directory: images.unpack(debs, directory))
    if not images.intact(tree):
        with cache.building(TREES, key) as directory:
            images.unpack(debs, directory)
    return tree


def fetch(entry: DebianEntry, cache: Cache, machine: Machine, progress: Progress) -> KernelImage:
    """Choose, download and unpack; the result is recorded.

    Raises:
        HostError: no such package in any suite, no network, no apt, or the cache cannot be written.
    """
    suites = suites_of(entry.suites, machine, cache)
    bundle = choose(entry, look(entry.name, suites, Suite.kernels, cache, progress), entry.suites)
    progress(f"{entry.name}: {bundle.packages[0].name} {bundle.version} from {bundle.packages[0].suite}")
    by_name = {suite.name: suite for suite in suites}
    blobs = [download(package, by_name[package.suite], cache, progress) for package in bundle.packages]
    key = tree_key(f"{bundle.packages[0].name}_{bundle.version}", [package.sha256 for package in bundle.packages])
    progress(f"{entry.name}: unpacking")
    tree = unpacked(key, blobs, cache)
    refs = tuple(
        PackageRef(name=item.name, version=item.version, suite=item.suite, sha256=item.sha256)
        for item in bundle.packages
    )
    image = images.from_tree(entry.name, tree, refs, _config_package(refs))
    record = Resolved(
        wanted=wanted(entry),
        key=key,
        image_sha256=image.sha256,
        packages=refs,
        download_bytes=bundle.size_bytes,
        at=clock.utc().isoformat(timespec="seconds"),
    )
    cache.write_record(RECORDS, entry.name, record.model_dump_json(indent=1))
    return image


def suites_of(names: Iterable[str], machine: Machine, cache: Cache) -> list[Suite]:
    """The suites, each with the archives of this machine that may have it."""
    return [Suite(name, sources.for_suite(machine.sources, name, machine.codename), cache) for name in names]


def choose(entry: DebianEntry, known: Iterable[Package], suites: Sequence[str]) -> Bundle:
    """The newest kernel that the entry means, or exactly its pin.

    Raises:
        HostError: there is none.
    """
    found = packages.bundles(known, entry.series, entry.flavour)
    places = ", ".join(suites)
    if not found:
        raise HostError(
            f"{entry.name}: no linux {entry.series} for {entry.flavour} in {places}",
            hint="the archive has moved on: name another suite or series in the kernel's entry, or give a .deb by path",
        )
    if entry.pin is None:
        return found[0]
    for bundle in found:
        if bundle.version == entry.pin:
            return bundle
    versions = ", ".join(dict.fromkeys(bundle.version for bundle in found))
    raise HostError(f"{entry.name}: version {entry.pin} is not in {places}", hint=f"they have {versions}")


def tree_key(title: str, digests: Iterable[str]) -> str:
    """The name of a tree in the cache: readable, and different for different packages."""
    digest = hashlib.sha256("\n".join([str(_FORMAT), *sorted(digests)]).encode()).hexdigest()
    return f"{title.replace(':', '.').replace('~', '-')}-{digest[:12]}"


def look(
    name: str, suites: Sequence[Suite], wanted: Callable[[Suite], list[Package]], cache: Cache, progress: Progress
) -> list[Package]:
    """The packages that ``wanted`` finds in all suites, after their lists were brought up to date.

    Raises:
        HostError: no archive has any of the suites, or there is no network.
    """
    known: list[Package] = []
    missing: list[SuiteMissing] = []
    for suite in suites:
        progress(f"{name}: looking in {suite.name}")
        with _alone(suite, cache, progress):
            try:
                suite.update()
            except SuiteMissing as error:
                progress(f"{name}: {error.message}; going on without it")
                missing.append(error)
                continue
            known += wanted(suite)
    if len(missing) == len(suites):
        raise HostError(f"{name}: {'; '.join(error.message for error in missing)}", hint=missing[0].hint)
    return known


def download(package: Package, suite: Suite, cache: Cache, progress: Progress) -> Path:
    """The package in the cache, downloaded unless it is there.

    Raises:
        HostError: it cannot be had.
    """
    blob = cache.blob(package.sha256)
    if blob is None:
        progress(f"downloading {package.name} {package.version} ({package.size_bytes / 2**20:.1f} MiB)")
        with tempfile.TemporaryDirectory(dir=cache.root / "apt", prefix="download-") as directory:
            with _alone(suite, cache, progress):
                path = suite.download(package, Path(directory))
            cache.add_blob(path, sha256=package.sha256)
        blob = cache.blob(package.sha256)
    if blob is None:
        raise HostError(f"{package.name} was damaged in the cache while it was used", hint="check the disk")
    return blob


def _alone(suite: Suite, cache: Cache, progress: Progress) -> AbstractContextManager[None]:
    name = suite.name.replace("/", "_")
    return cache.lock(f"apt.{name}", waiting=lambda: progress(f"waiting for another harness that uses {suite.name}"))


def _config_package(refs: Sequence[PackageRef]) -> str:
    """The package whose configuration it is: the only one, or linux-base-* of a split kernel."""
    for ref in refs:
        if ref.name.startswith("linux-base-"):
            return f"{ref.name} {ref.version}"
    return f"{refs[0].name} {refs[0].version}" if refs else ""
