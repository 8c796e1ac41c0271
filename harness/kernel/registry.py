"""From what a user writes (a name of the registry, or a path) to a kernel on disk."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.cache import Cache, sha256_of
from harness.errors import HostError, InputError
from harness.kernel import entries
from harness.kernel.build import built
from harness.kernel.build.recipe import Recipe, read_recipe
from harness.kernel.debian import deb, fetch
from harness.kernel.debian.apt import Machine
from harness.kernel.entries import DebianEntry, Entry, FileEntry, HypervisorEntry, SourceEntry, TwinEntry
from harness.kernel.image import images
from harness.model.kernel import KernelImage

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Registry:
    """The entries of ``kernels/*.yaml``."""

    directory: Path
    _entries: Mapping[str, tuple[Entry, Path]]

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
        return self._names(hypervisors=False)

    @property
    def hypervisors(self) -> tuple[str, ...]:
        """The names of all hypervisors."""
        return self._names(hypervisors=True)

    def _names(self, *, hypervisors: bool) -> tuple[str, ...]:
        kinds = {name: isinstance(entry, HypervisorEntry) for name, (entry, _) in self._entries.items()}
        return tuple(sorted((name for name, kind in kinds.items() if kind is hypervisors), key=_natural))

    def entry(self, name: str) -> Entry:
        """The entry called ``name``.

        Raises:
            InputError: unknown name; the message has a did-you-mean and the list.
        """
        return self._find(name)[0]

    def place(self, name: str) -> Path:
        """The file of an entry."""
        return self._find(name)[1]

    def recipe(self, name: str) -> Recipe | None:
        """What ``name`` is built of; None when it is not an entry that is built.

        Raises:
            InputError: unknown name, or a fragment or patch is missing.
        """
        entry, place = self._find(name)
        if isinstance(entry, SourceEntry):
            return read_recipe(entry, place, None, place)
        if not isinstance(entry, TwinEntry):
            return None
        original, origin_place = self._find(entry.of)
        if not isinstance(original, SourceEntry):  # load_all() has refused it
            raise InputError(f"{place}: of: {entry.of} is no entry of kind source")
        return read_recipe(entry, place, original, origin_place)

    def _find(self, name: str) -> tuple[Entry, Path]:
        found = self._entries.get(name)
        if found is not None:
            return found
        near = difflib.get_close_matches(name, self._entries, n=1)
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
    if ref not in registry.names and _is_path(ref):
        return _from_path(Path(ref).expanduser(), cache)
    entry = registry.entry(ref)
    if isinstance(entry, HypervisorEntry):
        hint = f"name it as the scenario's hypervisor; kernels: {', '.join(registry.names)}"
        raise InputError(f"{ref} is a hypervisor, not a kernel", hint=hint)
    recipe = registry.recipe(ref)
    if recipe is not None:
        made = built.make(recipe, cache, machine=machine, offline=offline, refresh=refresh, progress=progress)
        return made.image
    if isinstance(entry, FileEntry):
        base = registry.place(ref).parent
        config = base / entry.config if entry.config else None
        modules = base / entry.modules if entry.modules else None
        if modules is not None and not modules.is_dir():
            raise InputError(f"{registry.place(ref)}: modules: {modules} is not a directory")
        return images.from_file(entry.name, base / entry.image, config_path=config, modules=modules)
    if not isinstance(entry, DebianEntry):
        raise TypeError(f"{type(entry).__name__} is neither fetched, built nor a file")
    found = None if refresh else _kept(entry, cache)
    if found is not None:
        return found
    if offline:
        raise HostError(f"{ref} is not in the cache", hint=f"with a network: harness kernels fetch {ref}")
    waiting = f"{ref}: waiting for another harness that fetches it"
    with cache.lock(f"fetch.{ref}", waiting=lambda: progress(waiting)):
        found = None if refresh else _kept(entry, cache)
        return found or fetch.fetch(entry, cache, machine or Machine.read(), progress)


def fetched(name: str, cache: Cache) -> KernelImage | None:
    """The kernel that a Debian entry came to when it was last fetched, or None. Never uses the network."""
    record = fetch.recorded(name, cache)
    return fetch.restore(name, record, cache) if record else None


def _kept(entry: DebianEntry, cache: Cache) -> KernelImage | None:
    record = fetch.recorded(entry.name, cache)
    if record is None or record.wanted != fetch.wanted(entry):
        return None
    return fetch.restore(entry.name, record, cache)


def _is_path(ref: str) -> bool:
    # not Path.exists(), which raises when a name is too long
    return "/" in ref or ref.endswith(".deb") or os.path.exists(ref)


def _from_path(path: Path, cache: Cache) -> KernelImage:
    if path.suffix != ".deb":
        return images.from_file(path.name, path)
    control = deb.read_control(path)
    debs = [path, *_siblings(path, control)]
    key = fetch.tree_key(f"file_{control.package}_{control.version}", [sha256_of(item) for item in debs])
    tree = fetch.unpacked(key, debs, cache)
    return images.from_tree(path.name, tree, (), path.name)


def _siblings(path: Path, control: deb.Control) -> list[Path]:
    """The other packages of a split kernel, which must lie beside the given one.

    Raises:
        InputError: one is missing, or the given package is not the one with the image.
    """
    if re.match(r"linux-(?:modules|base|headers|kbuild)-", control.package):
        raise InputError(
            f"{path} is {control.package}: there is no kernel image in it",
            hint="give linux-image-VERSION (up to Linux 6.x) or linux-binary-VERSION (from 7.0 on)",
        )
    pattern = r"\b(linux-(?:binary|base|modules)-\d[\w.+~-]*)"
    wanted = dict.fromkeys(re.findall(pattern, control.depends))
    if control.package.startswith("linux-binary-"):
        kernel = re.sub(r"^linux-binary-(?:unsigned-)?", "", control.package)
        wanted |= dict.fromkeys([f"linux-base-{kernel}", f"linux-modules-{kernel}"])
    version = control.version.split(":")[-1]
    found = {name: sorted(path.absolute().parent.glob(f"{name}_{version}_*.deb")) for name in wanted}
    missing = [name for name, paths in found.items() if not paths]
    if missing:
        raise InputError(
            f"{path} is only a part of its kernel: {', '.join(missing)} {version} missing beside it",
            hint="put the .deb files of the same version into one directory and give the one with the image",
        )
    return [paths[-1] for paths in found.values()]


def _natural(name: str) -> tuple[tuple[int, int | str], ...]:
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts)
