"""The EFI agent's part in the shape of the memory map: pure."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.scenario import Scenario
from harness.model.words.memorymap import MemoryPlan, RangePlan, RangeType


def memory_plan(scenario: Scenario, nonce: str) -> MemoryPlan | None:
    """What the agent is asked for; None when the scenario leaves the map as firmware makes it."""
    wanted = scenario.firmware.memory
    if wanted is None:
        return None
    return MemoryPlan(ranges=tuple(_ranges(scenario, nonce)), kernel_at=wanted.kernel_at)


def _ranges(scenario: Scenario, nonce: str) -> Iterator[RangePlan]:
    wanted = scenario.firmware.memory
    if wanted is None:
        return
    # Another one than that of tables (harness.plan.planner), so that one is never taken for the other.
    seed = int(nonce + nonce, 16) ^ 0xC3C3_3C3C_5A5A_A5A5
    for item in wanted.ranges:
        yield RangePlan(
            at=item.at,
            size_bytes=item.size,
            type=item.type,
            canary_seed=seed if item.type.kept and item.canary else None,
            hook=item.hook or item.type is RangeType.HOLE,
        )
    for entry in wanted.map.entries if wanted.map is not None else ():
        yield RangePlan(
            at=entry.at,
            size_bytes=entry.size,
            type=entry.type,
            canary_seed=seed if entry.type.kept else None,
            hook=wanted.map is not None and wanted.map.hook,
            fit=True,
        )
