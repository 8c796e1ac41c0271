"""Kinds ``source`` and ``twin``: kernels that are built here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field

from harness.cache import Cache
from harness.errors import InputError
from harness.kernel.build import built
from harness.kernel.build.recipe import BASES, Part, Recipe, SourceOrigin
from harness.kernel.kinds.kind import Asked, Entry, Item, Kind, Listed, Name
from harness.load.reading.document import DocPath
from harness.model.base import Value
from harness.model.kernel import KernelImage

PartName = Annotated[
    str,
    Field(pattern=r"^[^\s].*$", description="A name, or a path with a slash from the entry's file.", examples=["base"]),
]


class SourceConfig(Value):
    """How the configuration is made: a base, then fragments in order, the later ones winning."""

    base: str = Field(
        default="tinyconfig", min_length=1, description="tinyconfig, defconfig, or the path of a whole .config."
    )
    fragments: tuple[PartName, ...] = Field(default=(), description="kernels/fragments/NAME.config, or paths.")


class SourceEntry(Entry):
    """A kernel that the harness builds."""

    kind: Literal["source"]
    source: SourceOrigin
    config: SourceConfig = SourceConfig()
    patches: tuple[PartName, ...] = Field(default=(), description="kernels/patches/NAME.patch, or paths, in order.")
    localversion: str = Field(
        default="-harness",
        pattern=r"^-[A-Za-z0-9.+_-]{1,40}$",
        description="The end of the kernel's release.",
        examples=["-tiny"],
    )


class TwinEntry(Entry):
    """Another entry's kernel with something more: a known bug put back, for instance."""

    kind: Literal["twin"]
    of: Name = Field(description="The entry of kind source that it is a twin of.")
    patches: tuple[PartName, ...] = Field(default=(), description="Added after those of the other entry.")
    fragments: tuple[PartName, ...] = Field(default=(), description="Added after those of the other entry.")


def _recipe(item: Item[SourceEntry]) -> Recipe:
    entry, home = item.entry, item.file.parent
    is_file = entry.config.base not in BASES
    return Recipe(
        name=entry.name,
        origin=entry.source,
        place=home,
        base="file" if is_file else entry.config.base,
        base_text=_read(home / Path(entry.config.base).expanduser(), item.file, "config.base") if is_file else "",
        fragments=tuple(_part(name, item.file, "fragments", ".config") for name in entry.config.fragments),
        patches=tuple(_part(name, item.file, "patches", ".patch") for name in entry.patches),
        localversion=entry.localversion,
    )


def _twin_recipe(item: Item[TwinEntry]) -> Recipe:
    entry, original = item.entry, item.beside[item.entry.of]
    recipe = _recipe(original)
    return replace(
        recipe,
        name=entry.name,
        fragments=(*recipe.fragments, *(_part(name, item.file, "fragments", ".config") for name in entry.fragments)),
        patches=(*recipe.patches, *(_part(name, item.file, "patches", ".patch") for name in entry.patches)),
        # so that an epoch cannot be taken for one of the original's kernel
        localversion=f"{recipe.localversion}+{entry.name.partition('+')[2] or entry.name}",
    )


def _no_original(item: Item[TwinEntry]) -> tuple[DocPath, str] | None:
    sources = [name for name, other in item.beside.items() if isinstance(other.entry, SourceEntry)]
    if item.entry.of in sources:
        return None
    known = ", ".join(sources) or "none"
    return ("of",), f"is {item.entry.of!r}, which is no entry of kind source; there are: {known}"


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


B = TypeVar("B", SourceEntry, TwinEntry)


class _Building(Generic[B]):
    """What both kinds do with their recipe."""

    def __init__(self, recipe: Callable[[Item[B]], Recipe]) -> None:
        self._recipe: Callable[[Item[B]], Recipe] = recipe

    def image(self, item: Item[B], asked: Asked) -> KernelImage:
        recipe = self._recipe(item)
        return built.make(
            recipe,
            asked.cache,
            machine=asked.machine,
            offline=asked.offline,
            refresh=asked.refresh,
            progress=asked.progress,
        ).image

    def bring(self, item: Item[B], asked: Asked) -> str:
        recipe = self._recipe(item)
        source = built.source(
            recipe, asked.cache, machine=asked.machine, refresh=asked.refresh, progress=asked.progress
        )
        return f"source {source.title}; harness kernels build {recipe.name} builds it"

    def listed(self, item: Item[B], cache: Cache) -> Listed:
        entry = item.entry
        of = entry.of if isinstance(entry, TwinEntry) else None
        plain = Listed(name=entry.name, kind=entry.kind, description=entry.description, of=of)
        try:
            found = built.look(self._recipe(item), cache)
        except InputError as error:  # a fragment or patch is missing: this entry cannot be built, the others can
            return plain.model_copy(update={"description": error.message})
        return plain if found is None else plain.model_copy(update=_told(found))


def _told(found: built.Built) -> dict[str, object]:
    image = found.image
    return {
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


def _kind(entry: type[B], recipe: Callable[[Item[B]], Recipe], **more: Any) -> Kind[B, KernelImage]:
    do = _Building(recipe)
    return Kind(entry, image=do.image, listed=do.listed, bring=do.bring, absent="not built", recipe=recipe, **more)


KIND = _kind(SourceEntry, _recipe)
TWIN = _kind(TwinEntry, _twin_recipe, wrong=_no_original)
