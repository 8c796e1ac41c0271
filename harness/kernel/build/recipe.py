"""What a kernel is built of: every text that decides, and a hash of them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from harness.kernel.debian.asked import Pin, Suites
from harness.model.base import Value

BASES = ("tinyconfig", "defconfig")
_FORMAT = 1
"""Raise when the build makes something else of the same recipe."""


class SourceOrigin(Value):
    """Where the source comes from: exactly one of ``debian``, ``tree`` and ``tarball``."""

    debian: str | None = Field(
        default=None,
        pattern=r"^linux-source-\d+\.\d+$",
        description="Debian's package of the source, patches applied.",
        examples=["linux-source-6.12"],
    )
    suites: Suites | None = Field(default=None, description="Where to look for the package.")
    pin: Pin | None = None
    tree: str | None = Field(default=None, min_length=1, description="A directory, perhaps of git; it is not changed.")
    tarball: str | None = Field(default=None, min_length=1, description="linux-VERSION.tar.xz or the like.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(item is not None for item in (self.debian, self.tree, self.tarball)) != 1:
            raise ValueError("needs exactly one of debian, tree and tarball")
        if (self.debian is None) != (self.suites is None):
            raise ValueError("needs debian and suites together")
        if self.pin is not None and self.debian is None:
            raise ValueError("has a pin, which only a Debian package can have")
        return self


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
