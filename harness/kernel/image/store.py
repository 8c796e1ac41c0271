"""Trees in the cache: what was unpacked from packages, named by what they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.cache import Cache
from harness.kernel.image import images

TREES = "kernels"
FORMAT = 1
"""Raise when ``images.unpack`` puts other files into a tree."""


def unpacked(key: str, debs: Sequence[Path], cache: Cache) -> Path:
    """The tree of these packages, unpacked unless it is there and intact."""
    tree = cache.get(TREES, key, lambda directory: images.unpack(debs, directory))
    if not images.intact(tree):
        with cache.building(TREES, key) as directory:
            images.unpack(debs, directory)
    return tree


def tree_key(title: str, digests: Iterable[str]) -> str:
    """The name of a tree in the cache: readable, and different for different packages."""
    digest = hashlib.sha256("\n".join([str(FORMAT), *sorted(digests)]).encode()).hexdigest()
    return f"{title.replace(':', '.').replace('~', '-')}-{digest[:12]}"
