"""From what a user writes (a name of the registry, or a path) to a kernel or a hypervisor on disk."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cache import Cache
from harness.errors import InputError
from harness.kernel import entries, paths
from harness.kernel.build.recipe import Recipe
from harness.kernel.debian.apt import Machine, Progress
from harness.kernel.kinds.kind import Asked, Entry, Item, Listed
from harness.kernel.kinds.table import BY_NAME, HYPERVISORS, KERNELS
from harness.model.kernel import HypervisorImage, KernelImage

_KERNELS = {kind.name: kind for kind in KERNELS}
_HYPERVISORS = {kind.name: kind for kind in HYPERVISORS}


@dataclass(frozen=True)
class Registry:
    """The entries of ``kernels/*.yaml``."""

    directory: Path
    _items: Mapping[str, Item[Any]]

    @classmethod
    def load(cls, directory: Path) -> Registry:
        """Read every entry.

        Raises:
            ScenarioErrors: mistakes in the files, all at once.
            InputError: there is no such directory.
        """
        if not directory.is_dir():
            raise InputError(f"{directory}: no such directory", hint="it holds the kernels' entries, kernels/*.yaml")
        return cls(directory, entries.load_all(directory))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all kernels, by series and flavour."""
        return self._names(_KERNELS)

    @property
    def hypervisors(self) -> tuple[str, ...]:
        """The names of all hypervisors."""
        return self._names(_HYPERVISORS)

    def _names(self, kinds: Mapping[str, object]) -> tuple[str, ...]:
        return tuple(sorted((name for name, item in self._items.items() if item.entry.kind in kinds), key=_natural))

    def entry(self, name: str) -> Entry:
        """The entry called ``name``.

        Raises:
            InputError: unknown name; the message has a did-you-mean and the list.
        """
        entry: Entry = self.item(name).entry
        return entry

    def recipe(self, name: str) -> Recipe | None:
        """What ``name`` is built of; None when it is not an entry that is built.

        Raises:
            InputError: unknown name, or a fragment or patch is missing.
        """
        item = self.item(name)
        recipe = BY_NAME[item.entry.kind].recipe
        return recipe(item) if recipe is not None else None

    def is_built(self, name: str) -> bool:
        """Is it built here, and not fetched?

        Raises:
            InputError: unknown name.
        """
        return BY_NAME[self.entry(name).kind].recipe is not None

    def item(self, name: str) -> Item[Any]:
        """The entry called ``name``, with its file.

        Raises:
            InputError: unknown name; the message has a did-you-mean and the list.
        """
        found = self._items.get(name)
        if found is not None:
            return found
        near = difflib.get_close_matches(name, self._items, n=1)
        guess = f"; did you mean {near[0]}?" if near else ""
        known = ", ".join(self.names) or "none"
        raise InputError(
            f"there is no kernel {name!r}{guess}", hint=f"known: {known}; or give the path of a bzImage or a .deb"
        )


def resolve(
    ref: str,
    registry: Registry,
    cache: Cache,
    *,
    offline: bool = False,
    refresh: bool = False,
    progress: Progress = lambda _text: None,
    machine: Machine | None = None,
) -> KernelImage:
    """The kernel that ``ref`` means; fetched or built when it is an entry that is not in the cache yet.

    Args:
        ref: A name of the registry, or the path of a bzImage or a .deb.
        offline: Never use the network, and build nothing.
        refresh: Look for a newer package although one was fetched before.
        machine: This machine's apt set-up, when it is not to be read from /etc.

    Raises:
        InputError: unknown name, or a file that is no kernel.
        HostError: the kernel cannot be fetched or built here.
    """
    if ref not in registry.names and paths.is_path(ref):
        return paths.from_path(Path(ref).expanduser(), cache)
    item = registry.item(ref)
    kind = _KERNELS.get(item.entry.kind)
    if kind is None:
        hint = f"name it as the scenario's hypervisor; kernels: {', '.join(registry.names)}"
        raise InputError(f"{ref} is a hypervisor, not a kernel", hint=hint)
    return kind.image(item, Asked(cache, offline, refresh, progress, machine))


def resolve_hypervisor(
    name: str,
    registry: Registry,
    cache: Cache,
    *,
    offline: bool = False,
    refresh: bool = False,
    progress: Progress = lambda _text: None,
    machine: Machine | None = None,
) -> HypervisorImage:
    """The hypervisor called ``name``, fetched when it is not in the cache yet; arguments as for :func:`resolve`.

    Raises:
        InputError: there is no such entry, or it is a kernel's.
        HostError: it cannot be fetched here.
    """
    known = f"known: {', '.join(registry.hypervisors) or 'none'}"
    if name not in (*registry.names, *registry.hypervisors):
        raise InputError(f"there is no hypervisor {name!r}", hint=known)
    item = registry.item(name)
    kind = _HYPERVISORS.get(item.entry.kind)
    if kind is None:
        raise InputError(f"{name} is a kernel, not a hypervisor", hint=known)
    return kind.image(item, Asked(cache, offline, refresh, progress, machine))


def bring(name: str, registry: Registry, cache: Cache, *, refresh: bool = False, progress: Progress) -> str:
    """Download what there is to download for an entry; says what it was.

    Raises:
        InputError: unknown name, or a file that the entry names is wrong.
        HostError: it cannot be had here.
    """
    item = registry.item(name)
    return BY_NAME[item.entry.kind].bring(item, Asked(cache, refresh=refresh, progress=progress))


def listing(registry: Registry, cache: Cache) -> list[Listed]:
    """All entries in the registry's order, and what is in the cache of each; uses no network."""
    items = [registry.item(name) for name in (*registry.names, *registry.hypervisors)]
    return [BY_NAME[item.entry.kind].listed(item, cache) for item in items]


def _natural(name: str) -> tuple[tuple[int, int | str], ...]:
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts)
