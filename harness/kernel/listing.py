"""What ``harness kernels list`` shows: every entry, and what is in the cache of it."""

from __future__ import annotations

from harness.cache import Cache
from harness.errors import HostError, InputError
from harness.kernel.build import built
from harness.kernel.debian import fetch
from harness.kernel.entries import DebianEntry, Entry, HypervisorEntry, TwinEntry
from harness.kernel.hypervisors import resolve_hypervisor
from harness.kernel.registry import Registry, fetched
from harness.model.base import Value
from harness.model.kernel import Capability, Decision


class Listed(Value):
    """One line of the list. What is not known before a kernel is fetched is None."""

    name: str
    kind: str
    description: str
    suites: tuple[str, ...] = ()
    series: str | None = None
    flavour: str | None = None
    fetched: bool = False
    """It is in the cache: fetched, or built."""
    fetched_at: str | None = None
    suite: str | None = None
    version: str | None = None
    release: str | None = None
    download_bytes: int | None = None
    image_bytes: int | None = None
    image_sha256: str | None = None
    outdated: bool = False
    """The entry was changed after it was fetched: the next run fetches again."""
    of: str | None = None
    """For a twin: the entry it is a twin of."""
    origin: str | None = None
    """For a kernel that was built: source, configuration, patches and compiler."""
    directory: str | None = None
    built_in_s: float | None = None
    capabilities: dict[Capability, Decision] | None = None


def listing(registry: Registry, cache: Cache) -> list[Listed]:
    """All entries in the registry's order; uses no network."""
    return [_listed(registry, name, cache) for name in (*registry.names, *registry.hypervisors)]


def _listed(registry: Registry, name: str, cache: Cache) -> Listed:
    entry = registry.entry(name)
    if entry.kind in {"source", "twin"}:
        return _built(registry, entry, cache)
    if isinstance(entry, HypervisorEntry):
        return _hypervisor(registry, entry, cache)
    if not isinstance(entry, DebianEntry):
        return Listed(name=name, kind=entry.kind, description=entry.description)
    plain = Listed(
        name=name,
        kind=entry.kind,
        description=entry.description,
        suites=entry.suites,
        series=entry.series,
        flavour=entry.flavour,
    )
    record = fetch.recorded(name, cache)
    image = fetched(name, cache)
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
            "outdated": record.wanted != fetch.wanted(entry),
            "capabilities": image.capabilities,
        }
    )


def _hypervisor(registry: Registry, entry: HypervisorEntry, cache: Cache) -> Listed:
    plain = Listed(name=entry.name, kind=entry.kind, description=entry.description, suites=entry.suites)
    try:
        image = resolve_hypervisor(entry.name, registry, cache, offline=True)
    except HostError:
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


def _built(registry: Registry, entry: Entry, cache: Cache) -> Listed:
    of = entry.of if isinstance(entry, TwinEntry) else None
    plain = Listed(name=entry.name, kind=entry.kind, description=entry.description, of=of)
    try:
        recipe = registry.recipe(entry.name)
    except InputError as error:  # a fragment or patch is missing: this entry cannot be built, the others can
        return plain.model_copy(update={"description": error.message})
    found = built.look(recipe, cache) if recipe is not None else None
    if found is None:
        return plain
    image = found.image
    return plain.model_copy(
        update={
            "fetched": True,
            "fetched_at": found.about.at,
            "suite": image.packages[0].suite if image.packages else None,
            "version": image.packages[0].version if image.packages else None,
            "release": image.release,
            "image_bytes": image.size_bytes,
            "image_sha256": image.sha256,
            "capabilities": image.capabilities,
            "origin": image.origin,
            "directory": str(found.directory),
            "built_in_s": found.about.seconds,
        }
    )
