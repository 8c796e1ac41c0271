"""Looking for packages in several suites, and downloading them into the cache; one at a time for each suite."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from harness.cache import Cache
from harness.errors import HostError
from harness.kernel.debian import sources
from harness.kernel.debian.apt import Machine, Progress, Suite, SuiteMissing
from harness.kernel.debian.packages import Package, version_key


def suites_of(names: Iterable[str], machine: Machine, cache: Cache) -> list[Suite]:
    """The suites, each with the archives of this machine that may have it."""
    return [Suite(name, sources.for_suite(machine.sources, name, machine.codename), cache) for name in names]


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


def newest(found: Sequence[Package], pin: str | None, suites: Sequence[str], *, name: str, package: str) -> Package:
    """The newest package, of equals that of the first suite, or exactly the pinned one.

    Args:
        name: The entry that asks.
        package: What it asks for.

    Raises:
        HostError: there is none.
    """
    kept = [item for item in found if pin in (None, item.version)]
    if not kept:
        versions = ", ".join(dict.fromkeys(item.version for item in found))
        pinned = f" of version {pin}" if pin else ""
        raise HostError(
            f"{name}: no {package}{pinned} in {', '.join(suites)}",
            hint=f"they have {versions}" if versions else "name another suite or package in the entry",
        )
    return max(kept, key=lambda item: (version_key(item.version), -suites.index(item.suite)))


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
