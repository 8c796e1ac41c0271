"""Can this scenario be tested on these kernels at all? Decided before anything is started, in under a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.model.kernel import Capability, KernelImage
from harness.model.scenario import Scenario
from harness.subjects.registry import SUBJECTS


@dataclass(frozen=True)
class Refusal:
    """Why a scenario cannot be tested on a kernel."""

    kernel: str
    capability: Capability
    reason: str


def needs(scenario: Scenario, kernels: Sequence[KernelImage]) -> Iterator[tuple[KernelImage, Capability]]:
    """What the scenario asks of each kernel; ``kernels`` are those of the epochs, in order."""
    for subject in SUBJECTS:
        yield from subject.needs(scenario, kernels)


def refusal(scenario: Scenario, kernels: Sequence[KernelImage]) -> Refusal | None:
    """The first need that a kernel cannot meet, or None."""
    for kernel, capability in needs(scenario, kernels):
        decision = kernel.capabilities.get(capability)
        if decision is not None and not decision.possible:
            return Refusal(kernel.name, capability, decision.reason)
    return None
