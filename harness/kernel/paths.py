"""A kernel given by the path of a bzImage or a .deb, for those that are in no registry."""

from __future__ import annotations

import os
import re
from pathlib import Path

from harness.cache import Cache, sha256_of
from harness.errors import InputError
from harness.kernel.debian import deb
from harness.kernel.image import images
from harness.kernel.image.store import tree_key, unpacked
from harness.model.kernel import KernelImage


def is_path(ref: str) -> bool:
    """Does a person mean a file by it?"""
    # not Path.exists(), which raises when a name is too long
    return "/" in ref or ref.endswith(".deb") or os.path.exists(ref)


def from_path(path: Path, cache: Cache) -> KernelImage:
    """The kernel of a bzImage or a .deb.

    Raises:
        InputError: it is none, or only a part of one.
        HostError: a program that unpacks is missing.
    """
    if path.suffix != ".deb":
        return images.from_file(path.name, path)
    control = deb.read_control(path)
    debs = [path, *_siblings(path, control)]
    key = tree_key(f"file_{control.package}_{control.version}", [sha256_of(item) for item in debs])
    tree = unpacked(key, debs, cache)
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
