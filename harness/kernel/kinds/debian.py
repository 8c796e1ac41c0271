"""Kind ``debian``: choose the packages, download them, unpack them; all of it once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field, ValidationError

from harness import clock
from harness.cache import Cache
from harness.errors import HostError
from harness.kernel.debian import packages
from harness.kernel.debian.apt import Suite
from harness.kernel.debian.archive import download, look, suites_of
from harness.kernel.debian.asked import Pin, Suites
from harness.kernel.debian.packages import Bundle, Package
from harness.kernel.image import images
from harness.kernel.image.store import FORMAT, TREES, tree_key, unpacked
from harness.kernel.kinds.kind import Asked, Entry, Item, Kind, Listed
from harness.model.base import Value
from harness.model.kernel import KernelImage, PackageRef

RECORDS = "resolved"


class DebianEntry(Entry):
    """The newest package of a series in Debian, or one exact version."""

    kind: Literal["debian"]
    series: str = Field(
        pattern=r"^\d+\.\d+$", description="The first two numbers of the version, in quotes.", examples=["6.12"]
    )
    flavour: Literal["amd64", "cloud-amd64"]
    suites: Suites = Field(description="Where to look. The newest of all is taken; of equals, that of the first suite.")
    pin: Pin | None = None


class _Resolved(Value):
    """What an entry came to; kept, so that the next run needs no network and tests the same kernel."""

    format: int = FORMAT
    wanted: str
    """What the entry asked for: another series, suite or pin makes this record void."""
    key: str
    image_sha256: str
    packages: tuple[PackageRef, ...]
    download_bytes: int
    at: str
    """When, ISO 8601 in UTC."""


def _wanted(entry: DebianEntry) -> str:
    """The part of an entry that decides which packages it means, as text."""
    return entry.model_dump_json(include={"series", "flavour", "suites", "pin"})


def _recorded(name: str, cache: Cache) -> _Resolved | None:
    """What ``name`` came to when it was last fetched, or None."""
    text = cache.read_record(RECORDS, name)
    if text is None:
        return None
    try:
        record = _Resolved.model_validate_json(text)
    except ValidationError:  # of another version of the harness, or cut short by hand
        return None
    return record if record.format == FORMAT else None


def _restore(name: str, record: _Resolved, cache: Cache) -> KernelImage | None:
    """The kernel of a record, from the tree or again from the packages; None when they are gone or damaged."""
    tree = cache.find(TREES, record.key)
    if tree is None or not images.intact(tree):
        blobs = [cache.blob(package.sha256) for package in record.packages]
        found = [blob for blob in blobs if blob is not None]
        if len(found) < len(blobs):
            return None
        tree = unpacked(record.key, found, cache)
    return images.from_tree(name, tree, record.packages, _config_package(record.packages))


def fetched(name: str, cache: Cache) -> KernelImage | None:
    """The kernel that an entry came to when it was last fetched, or None. Never uses the network."""
    record = _recorded(name, cache)
    return _restore(name, record, cache) if record else None


def _kept(entry: DebianEntry, cache: Cache) -> KernelImage | None:
    record = _recorded(entry.name, cache)
    if record is None or record.wanted != _wanted(entry):
        return None
    return _restore(entry.name, record, cache)


def _image(item: Item[DebianEntry], asked: Asked) -> KernelImage:
    return asked.once(item.entry.name, lambda: _kept(item.entry, asked.cache), lambda: _fetch(item.entry, asked))


def _fetch(entry: DebianEntry, asked: Asked) -> KernelImage:
    """Choose, download and unpack; the result is recorded.

    Raises:
        HostError: no such package in any suite, no network, no apt, or the cache cannot be written.
    """
    cache, progress = asked.cache, asked.progress
    suites = suites_of(entry.suites, asked.apt(), cache)
    bundle = _choose(entry, look(entry.name, suites, Suite.kernels, cache, progress), entry.suites)
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
    record = _Resolved(
        wanted=_wanted(entry),
        key=key,
        image_sha256=image.sha256,
        packages=refs,
        download_bytes=bundle.size_bytes,
        at=clock.utc().isoformat(timespec="seconds"),
    )
    cache.write_record(RECORDS, entry.name, record.model_dump_json(indent=1))
    return image


def _choose(entry: DebianEntry, known: Iterable[Package], suites: Sequence[str]) -> Bundle:
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


def _config_package(refs: Sequence[PackageRef]) -> str:
    """The package whose configuration it is: the only one, or linux-base-* of a split kernel."""
    for ref in refs:
        if ref.name.startswith("linux-base-"):
            return f"{ref.name} {ref.version}"
    return f"{refs[0].name} {refs[0].version}" if refs else ""


def _listed(item: Item[DebianEntry], cache: Cache) -> Listed:
    entry = item.entry
    plain = Listed(
        name=entry.name,
        kind=entry.kind,
        description=entry.description,
        suites=entry.suites,
        series=entry.series,
        flavour=entry.flavour,
    )
    record = _recorded(entry.name, cache)
    image = fetched(entry.name, cache)
    if record is None or image is None:
        return plain
    return plain.model_copy(
        update={
            "fetched": True,
            "fetched_at": record.at,
            "suite": record.packages[0].suite,
            "version": record.packages[0].version,
            "release": image.release,
            "download_bytes": record.download_bytes,
            "image_bytes": image.image.stat().st_size,
            "image_sha256": image.sha256,
            "outdated": record.wanted != _wanted(entry),
            "capabilities": image.capabilities,
        }
    )


KIND = Kind(
    DebianEntry,
    image=_image,
    listed=_listed,
    bring=lambda item, asked: _image(item, asked).release,
    absent="not fetched",
)
