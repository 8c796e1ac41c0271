"""Kernels that the harness builds, from the entry to the image, and what is known of one that was built."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harness.cache import Cache
from harness.errors import HarnessError, HostError
from harness.kernel.build import build, toolchain, trees
from harness.kernel.build.recipe import Recipe
from harness.kernel.build.trees import Tree
from harness.kernel.debian.apt import Machine, Progress
from harness.kernel.image import images
from harness.model.base import Value
from harness.model.kernel import KernelImage

_RECORDS = "resolved-builds"


class _Done(Value):
    """The last build of an entry, for a machine without a compiler and for lists."""

    wanted: str
    key: str


@dataclass(frozen=True)
class Built:
    """An entry that is built, and what was built of it."""

    image: KernelImage
    about: build.About
    directory: Path


def make(
    recipe: Recipe,
    cache: Cache,
    *,
    machine: Machine | None = None,
    offline: bool = False,
    refresh: bool = False,
    progress: Progress = lambda _text: None,
    interval_s: float = 10.0,
) -> Built:
    """The kernel of a recipe, from the cache or built now: minutes the first time, seconds for a twin.

    Args:
        offline: Build nothing and use no network.
        refresh: Look for a newer package of the source.
        interval_s: How often progress is told at most.

    Raises:
        InputError, BuildError, HostError: see ``build.build``.
    """
    if offline:
        return _kept(recipe, cache)
    tree = trees.find_tree(
        recipe.name, recipe.origin, recipe.place, cache, machine=machine, refresh=refresh, progress=progress
    )
    found = _from_cache(recipe, tree, cache)
    directory = found or build.build(recipe, tree, cache, progress, interval_s)
    record = _Done(wanted=_wanted(recipe, tree), key=directory.name)
    cache.write_record(_RECORDS, recipe.name, record.model_dump_json(indent=1))
    return _built(recipe, tree, directory)


def source(
    recipe: Recipe, cache: Cache, *, machine: Machine | None = None, refresh: bool = False, progress: Progress
) -> Tree:
    """The source of a recipe, downloaded, but neither unpacked nor built.

    Raises:
        InputError: there is none.
        HostError: it cannot be had.
    """
    tree = trees.find_tree(
        recipe.name, recipe.origin, recipe.place, cache, machine=machine, refresh=refresh, progress=progress
    )
    tree.fetch()
    return tree


def look(recipe: Recipe, cache: Cache) -> Built | None:
    """What is built of a recipe as it is now; None when nothing is. Builds nothing and uses no network."""
    try:
        return _kept(recipe, cache)
    except HarnessError:
        return None


def _kept(recipe: Recipe, cache: Cache) -> Built:
    missing = HostError(f"{recipe.name} is not built", hint=f"harness kernels build {recipe.name}")
    try:
        tree = trees.find_tree(recipe.name, recipe.origin, recipe.place, cache, offline=True)
    except HostError as error:
        raise missing from error
    found = _from_cache(recipe, tree, cache)
    if found is None:
        raise missing
    return _built(recipe, tree, found)


def _from_cache(recipe: Recipe, tree: Tree, cache: Cache) -> Path | None:
    """With a compiler here exactly what it would make; without one what was made last, perhaps elsewhere."""
    compiler = toolchain.compiler()
    if compiler:
        return build.finished(build.entry_key(recipe, tree, compiler), cache)
    text = cache.read_record(_RECORDS, recipe.name)
    try:
        record = _Done.model_validate_json(text) if text is not None else None
    except ValidationError:  # of another version of the harness, or cut short by hand
        return None
    if record is None or record.wanted != _wanted(recipe, tree):
        return None
    return build.finished(record.key, cache)


def _wanted(recipe: Recipe, tree: Tree) -> str:
    return hashlib.sha256(f"{tree.key}\n{recipe.digest}".encode()).hexdigest()


def _built(recipe: Recipe, tree: Tree, directory: Path) -> Built:
    about = build.about(directory)
    packages = (tree.package,) if tree.package is not None else ()
    image = images.from_tree(recipe.name, directory, packages, recipe.name)
    more = {"vmlinux": directory / "vmlinux", "origin": about.text}
    return Built(image.model_copy(update=more), about, directory)
