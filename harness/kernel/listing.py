"""What ``harness kernels list`` shows: every entry, and what is in the cache of it."""

from __future__ import annotations

from harness.cache import Cache
from harness.kernel import fetch
from harness.kernel.entries import DebianEntry
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
    fetched_at: str | None = None
    suite: str | None = None
    version: str | None = None
    release: str | None = None
    download_bytes: int | None = None
    image_bytes: int | None = None
    image_sha256: str | None = None
    outdated: bool = False
    """The entry was changed after it was fetched: the next run fetches again."""
    capabilities: dict[Capability, Decision] | None = None


def listing(registry: Registry, cache: Cache) -> list[Listed]:
    """All entries in the registry's order; uses no network."""
    return [_listed(registry, name, cache) for name in registry.names]


def _listed(registry: Registry, name: str, cache: Cache) -> Listed:
    entry = registry.entry(name)
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
