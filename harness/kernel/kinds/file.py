"""Kind ``file``: a kernel that is already on this machine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.cache import Cache
from harness.errors import InputError
from harness.kernel.image import images
from harness.kernel.kinds.kind import Asked, Entry, Item, Kind, Listed
from harness.model.kernel import KernelImage


class FileEntry(Entry):
    """Files that are already on this machine; relative paths begin at the entry's file."""

    kind: Literal["file"]
    image: str = Field(min_length=1, description="A bzImage.")
    config: str | None = Field(default=None, description="Its configuration; found by itself where it usually lies.")
    modules: str | None = Field(default=None, description="Its lib/modules/RELEASE; found by itself likewise.")


def _image(item: Item[FileEntry], _asked: Asked) -> KernelImage:
    entry, base = item.entry, item.file.parent
    config = base / entry.config if entry.config else None
    modules = base / entry.modules if entry.modules else None
    if modules is not None and not modules.is_dir():
        raise InputError(f"{item.file}: modules: {modules} is not a directory")
    return images.from_file(entry.name, base / entry.image, config_path=config, modules=modules)


def _listed(item: Item[FileEntry], _cache: Cache) -> Listed:
    return Listed(name=item.entry.name, kind=item.entry.kind, description=item.entry.description)


KIND = Kind(
    FileEntry,
    image=_image,
    listed=_listed,
    bring=lambda item, asked: _image(item, asked).release,
    absent="a file here",
)
