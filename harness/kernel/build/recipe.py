"""What a kernel of kind ``source`` or ``twin`` is made of: every text that decides, read and hashed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError
from harness.kernel.entries import SourceEntry, SourceOrigin, TwinEntry

BASES = ("tinyconfig", "defconfig")
_FORMAT = 1
"""Raise when the build makes something else of the same recipe."""


@dataclass(frozen=True)
class Part:
    """A fragment or a patch."""

    name: str
    path: Path
    text: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode(errors="surrogateescape")).hexdigest()


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is built, but the source's contents and the compiler."""

    name: str
    origin: SourceOrigin
    place: Path
    """The directory that relative paths of the entry begin at."""
    base: str
    """One of BASES, or ``file``."""
    base_text: str
    """The configuration, when ``base`` is ``file``."""
    fragments: tuple[Part, ...]
    patches: tuple[Part, ...]
    localversion: str

    @property
    def asked(self) -> str:
        """All fragments in order, as one text; it ends in the local version."""
        texts = [part.text.rstrip("\n") + "\n" for part in self.fragments]
        return "".join([*texts, f'CONFIG_LOCALVERSION="{self.localversion}"\n'])

    @property
    def digest(self) -> str:
        """64 hexadecimal digits; the same for the same recipe, whatever its name."""
        told = [_FORMAT, self.base, self.base_text, self.asked, [part.text for part in self.patches]]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    @property
    def family(self) -> str:
        """What kernels have in common that are built in one directory: a twin is built where its original was.

        Fragments and patches are not in it, so that a changed one costs an incremental build.
        """
        return (
            self.base
            if self.base != "file"
            else f"file-{hashlib.sha256(self.base_text.encode(errors='surrogateescape')).hexdigest()[:8]}"
        )


def read_recipe(
    entry: SourceEntry | TwinEntry, place: Path, original: SourceEntry | None, origin_place: Path
) -> Recipe:
    """Read the parts that an entry names.

    Args:
        entry: What is built.
        place: The file of ``entry``.
        original: The entry that ``entry`` is a twin of, if it is one.
        origin_place: The file of ``original``; for no twin the same as ``place``.

    Raises:
        InputError: a part is missing or cannot be read.
    """
    source = original if isinstance(entry, TwinEntry) else entry
    if source is None:
        raise ValueError("a twin needs its original")
    home = origin_place.parent
    is_file = source.config.base not in BASES
    fragments = [_part(name, origin_place, "fragments", ".config") for name in source.config.fragments]
    patches = [_part(name, origin_place, "patches", ".patch") for name in source.patches]
    localversion = source.localversion
    if isinstance(entry, TwinEntry):
        fragments += [_part(name, place, "fragments", ".config") for name in entry.fragments]
        patches += [_part(name, place, "patches", ".patch") for name in entry.patches]
        # so that an epoch cannot be taken for one of the original's kernel
        localversion = f"{localversion}+{entry.name.partition('+')[2] or entry.name}"
    return Recipe(
        name=entry.name,
        origin=source.source,
        place=home,
        base="file" if is_file else source.config.base,
        base_text=_read(home / Path(source.config.base).expanduser(), origin_place, "config.base") if is_file else "",
        fragments=tuple(fragments),
        patches=tuple(patches),
        localversion=localversion,
    )


def _part(name: str, place: Path, kind: str, suffix: str) -> Part:
    path = place.parent / Path(name).expanduser() if "/" in name else place.parent / kind / f"{name}{suffix}"
    return Part(name, path, _read(path, place, kind, _known(path.parent, suffix) if "/" not in name else ()))


def _read(path: Path, place: Path, key: str, known: Sequence[str] = ()) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or str(error))
        hint = f"there are {', '.join(known)}; or give a path with a slash in it" if known else ""
        raise InputError(f"{place}: {key}: {path}: {reason}", hint=hint) from error


def _known(directory: Path, suffix: str) -> tuple[str, ...]:
    return tuple(sorted(path.name.removesuffix(suffix) for path in directory.glob(f"*{suffix}")))
