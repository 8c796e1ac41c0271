"""What a subject claims, and that all is claimed: what nobody claims would pass in silence, so it cannot load."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from harness.model.causes import Cause
from harness.model.kernel import Capability, KernelImage
from harness.model.scenario import Scenario
from harness.model.verdict import Check
from harness.model.words.tables import TableName
from harness.record.observations import Observations

K = TypeVar("K")
V = TypeVar("V")
CheckOf = Callable[[Observations], Check | None]
"""A check; None where the run has nothing of the kind."""
Rule = tuple[str, CheckOf]
"""A check and its name."""


class UnclaimedError(TypeError):
    """A step, an expectation or a cause that no subject claims, that two claim, or that does not exist."""


@dataclass(frozen=True)
class Always:
    """A check that every run is held to."""

    place: int
    """Where among those of all subjects: the lower, the earlier it is said."""
    name: str
    check: CheckOf


def _nothing(*_: object) -> Iterable[Any]:
    return ()


@dataclass(frozen=True)
class Subject:
    """A subject's row in the registry. Pure: what it does to a machine is in its ``act.py``."""

    name: str
    causes: Collection[Cause] = ()
    """The causes that are its own; its checks may name others besides."""
    expectations: Mapping[type, Callable[[Any], Iterable[Rule]]] = field(default_factory=dict)
    """The checks of an expectation of each class."""
    always: Sequence[Always] = ()
    steps: Collection[type] = ()
    """The steps that its acts do."""
    needs: Callable[[Scenario, Sequence[KernelImage]], Iterable[tuple[KernelImage, Capability]]] = _nothing
    """What a scenario asks of the kernels of its epochs, which are given in order."""
    watched: Callable[[Scenario], Iterable[TableName]] = _nothing
    """The tables that must be sampled for its checks."""
    headline: tuple[str, ...] = ()
    """How the names of those checks begin whose summary is worth the headline of a PASS."""


def once(what: str, wanted: Collection[K], claims: Iterable[Mapping[K, V]]) -> dict[K, V]:
    """All claims as one; each of ``wanted`` must be in exactly one of them, and nothing else.

    Raises:
        UnclaimedError: with the names of those that are not.
    """
    claimed: dict[K, V] = {}
    for claim in claims:
        twice = claimed.keys() & claim.keys()
        if twice:
            raise UnclaimedError(f"claimed twice as {what}: {_names(twice)}")
        claimed.update(claim)
    for problem, keys in (
        ("claimed by no subject", set(wanted) - claimed.keys()),
        ("claimed, but there is none", claimed.keys() - set(wanted)),
    ):
        if keys:
            raise UnclaimedError(f"{what} {problem}: {_names(keys)}")
    return claimed


def _names(keys: Iterable[object]) -> str:
    return ", ".join(sorted(getattr(key, "__name__", None) or str(key) for key in keys))
