"""Kind ``hypervisor``: an entry becomes a xen.efi, its package chosen, downloaded and unpacked once, then kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from harness import clock
from harness.cache import Cache, sha256_of
from harness.kernel.debian import archive, deb
from harness.kernel.debian.asked import Pin, Suites
from harness.kernel.image.store import tree_key
from harness.kernel.kinds.kind import Asked, Entry, Item, Kind, Listed
from harness.model.base import Value
from harness.model.kernel import HypervisorImage, PackageRef

TREES = "hypervisors"
RECORDS = "resolved-hypervisors"
_IMAGE = re.compile(r"boot/xen-[0-9.]+-amd64\.efi")
_FILE = "xen.efi"


class HypervisorEntry(Entry):
    """A Xen of Debian, which a scenario can put under its kernel."""

    kind: Literal["hypervisor"]
    package: str = Field(
        pattern=r"^xen-hypervisor-\d+\.\d+-amd64$",
        description="Debian's package, with xen-VERSION-amd64.efi in it.",
        examples=["xen-hypervisor-4.17-amd64"],
    )
    suites: Suites = Field(description="Where to look. The newest of all is taken; of equals, that of the first suite.")
    pin: Pin | None = None


class _Chosen(Value):
    """What an entry came to; the next run needs no network and tests the same hypervisor."""

    wanted: str
    key: str
    image_sha256: str
    package: PackageRef
    at: str


def _image(item: Item[HypervisorEntry], asked: Asked) -> HypervisorImage:
    return asked.once(item.entry.name, lambda: _kept(item.entry, asked.cache), lambda: _fetch(item.entry, asked))


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
    return _found(entry, tree / _FILE, record.image_sha256, record.package)


def _wanted(entry: HypervisorEntry) -> str:
    """The part of an entry that decides which package it means."""
    return entry.model_dump_json(include={"package", "suites", "pin"})


def _fetch(entry: HypervisorEntry, asked: Asked) -> HypervisorImage:
    cache, progress = asked.cache, asked.progress
    suites = archive.suites_of(entry.suites, asked.apt(), cache)
    known = archive.look(entry.name, suites, lambda suite: suite.versions(entry.package), cache, progress)
    package = archive.newest(known, entry.pin, entry.suites, name=entry.name, package=entry.package)
    progress(f"{entry.name}: {package.name} {package.version} from {package.suite}")
    blob = archive.download(package, next(suite for suite in suites if suite.name == package.suite), cache, progress)
    key = tree_key(f"{package.name}_{package.version}", [package.sha256])
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
    return _found(entry, path, record.image_sha256, ref)


def _found(entry: HypervisorEntry, path: Path, sha256: str, package: PackageRef) -> HypervisorImage:
    version = re.search(r"\d+\.\d+", entry.package)
    return HypervisorImage(
        name=entry.name,
        version=version[0] if version else "",
        image=path,
        sha256=sha256,
        size_bytes=path.stat().st_size,
        packages=(package,),
    )


def _listed(item: Item[HypervisorEntry], cache: Cache) -> Listed:
    entry = item.entry
    plain = Listed(name=entry.name, kind=entry.kind, description=entry.description, suites=entry.suites)
    image = _kept(entry, cache)
    if image is None:
        return plain
    return plain.model_copy(
        update={
            "fetched": True,
            "suite": image.packages[0].suite,
            "version": image.packages[0].version,
            "release": image.packages[0].version,
            "image_bytes": image.size_bytes,
            "image_sha256": image.sha256,
        }
    )


KIND = Kind(
    HypervisorEntry,
    image=_image,
    listed=_listed,
    bring=lambda item, asked: _image(item, asked).packages[0].version,
    absent="not fetched",
)
