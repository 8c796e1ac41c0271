"""What a kind of entry is: its keys, and what can be done with such an entry. The kinds stand in ``table.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, get_args

from pydantic import Field

from harness.cache import Cache
from harness.errors import HostError
from harness.kernel.build.recipe import Recipe
from harness.kernel.debian.apt import Machine, Progress
from harness.load.reading.document import DocPath
from harness.model.base import Value
from harness.model.kernel import Capability, Decision

Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9._+-]{0,63}$",
        description="The kernel's name: the file's name.",
        examples=["debian-6.12-cloud"],
    ),
]


class Entry(Value):
    """What every entry has. A kind narrows ``kind`` to its own name and adds its keys."""

    kind: str
    name: Name
    description: str = Field(min_length=10, description="One line for lists.")


E = TypeVar("E", bound=Entry)
Image_co = TypeVar("Image_co", covariant=True)
Found = TypeVar("Found")


@dataclass(frozen=True)
class Item(Generic[E]):
    """An entry as it stands in the registry."""

    entry: E
    file: Path
    beside: Mapping[str, Item[Any]] = field(default_factory=dict, repr=False, compare=False)
    """Every entry of the registry by name, this one included."""


@dataclass(frozen=True)
class Asked:
    """Who asks, and what may be done for it."""

    cache: Cache
    offline: bool = False
    """Never use the network, and build nothing."""
    refresh: bool = False
    """Look for a newer package although one was fetched before."""
    progress: Progress = lambda _text: None
    machine: Machine | None = None
    """This machine's apt set-up, when it is not to be read from /etc."""

    def apt(self) -> Machine:
        """The apt set-up that counts."""
        return self.machine or Machine.read()

    def once(self, name: str, kept: Callable[[], Found | None], fetch: Callable[[], Found]) -> Found:
        """What is in the cache, else what is fetched now; of several harnesses at once one fetches.

        Raises:
            HostError: it is not in the cache and the network may not be used.
        """
        found = None if self.refresh else kept()
        if found is not None:
            return found
        if self.offline:
            raise HostError(f"{name} is not in the cache", hint=f"with a network: harness kernels fetch {name}")
        waiting = f"{name}: waiting for another harness that fetches it"
        with self.cache.lock(f"fetch.{name}", waiting=lambda: self.progress(waiting)):
            found = None if self.refresh else kept()
            return fetch() if found is None else found


class Listed(Value):
    """One line of ``harness kernels list``. What is not known before a kernel is fetched is None."""

    name: str
    kind: str
    description: str
    suites: tuple[str, ...] = ()
    series: str | None = None
    flavour: str | None = None
    fetched: bool = False
    """It is in the cache: fetched, or built."""
    fetched_at: str | None = None
    suite: str | None = None
    version: str | None = None
    release: str | None = None
    download_bytes: int | None = None
    image_bytes: int | None = None
    image_sha256: str | None = None
    outdated: bool = False
    """The entry was changed after it was fetched: the next run fetches again."""
    of: str | None = None
    """For a twin: the entry it is a twin of."""
    origin: str | None = None
    """For a kernel that was built: source, configuration, patches and compiler."""
    directory: str | None = None
    built_in_s: float | None = None
    capabilities: dict[Capability, Decision] | None = None


@dataclass(frozen=True)
class Kind(Generic[E, Image_co]):
    """One row: the class of the entries, and what they become (a ``KernelImage`` or a ``HypervisorImage``)."""

    entry: type[E]
    image: Callable[[Item[E], Asked], Image_co]
    """The image on disk; fetched or built when it is not in the cache.

    Raises:
        InputError: a file that the entry names is wrong or missing.
        HostError: it cannot be had here.
    """
    listed: Callable[[Item[E], Cache], Listed]
    """What is known of it without network; never raises for one entry that is wrong."""
    bring: Callable[[Item[E], Asked], str]
    """Download what there is to download, for ``harness kernels fetch``; says what it was."""
    absent: str
    """How the list says that it is not in the cache."""
    recipe: Callable[[Item[E]], Recipe] | None = None
    """What it is built of, for kinds that are built.

    Raises:
        InputError: a fragment or patch is missing.
    """
    wrong: Callable[[Item[E]], tuple[DocPath, str] | None] = lambda _item: None
    """What is wrong with it among the other entries: the place in its file, and a sentence."""

    @property
    def name(self) -> str:
        """What ``kind:`` says."""
        (name,) = get_args(self.entry.model_fields["kind"].annotation)
        return str(name)
