"""The row of a crash, and the dump of the crashed kernel's memory (docs/kdump.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from harness.model.causes import Cause
from harness.model.kernel import Capability, KernelImage
from harness.model.scenario import Scenario
from harness.model.verdict import Check
from harness.model.words.kdump import TRIGGERS, CaptureStep, CrashKernelStep, CrashStep, KdumpClean
from harness.record.observations import Observations
from harness.subjects.claims import CheckOf, Rule, Subject
from harness.subjects.kdump.file import check_crash, check_file, check_origin
from harness.subjects.kdump.filter import check_filter
from harness.subjects.kdump.memory import check_memory, check_ranges, check_truth
from harness.subjects.kdump.region import check_capture, check_region
from harness.subjects.kdump.stack import check_cpus, check_stack
from harness.subjects.kdump.view import KdumpView

CHECKS: tuple[tuple[str, Callable[[KdumpView], Check | None]], ...] = (
    ("kdump: capture", check_capture),
    ("kdump: region", check_region),
    ("kdump: file", check_file),
    ("kdump: origin", check_origin),
    ("kdump: crash", check_crash),
    ("kdump: cpus", check_cpus),
    ("kdump: stack", check_stack),
    ("kdump: ranges", check_ranges),
    ("kdump: memory", check_memory),
    ("kdump: panic to capture", check_truth),
    ("kdump: filter", check_filter),
)
"""In the order in which they are said."""


def _clean(_item: KdumpClean) -> Iterator[Rule]:
    """Every check of a kdump by its name. What is decoded for one is there for the others."""
    views: list[KdumpView] = []

    def on(check: Callable[[KdumpView], Check | None]) -> CheckOf:
        def run(observations: Observations) -> Check | None:
            if not views:
                views.append(KdumpView(observations))
            return check(views[0])

        return run

    for name, check in CHECKS:
        yield name, on(check)


def _needs(scenario: Scenario, kernels: Sequence[KernelImage]) -> Iterator[tuple[KernelImage, Capability]]:
    """The kernel before the last is crashed; the last one captures."""
    for step in scenario.steps:
        if isinstance(step, CrashStep):
            for capability in TRIGGERS[step.crash.by].needs:
                yield kernels[-2], capability
        elif isinstance(step, CaptureStep):
            yield kernels[-1], Capability.CRASH_DUMP


SUBJECT = Subject(
    name="kdump",
    causes=(
        *(Cause.VMCORE_FOREIGN, Cause.WRONG_CRASH, Cause.CAPTURE_OUT_OF_MEMORY, Cause.VMCORE_MISSING),
        *(Cause.VMCORE_INCOMPLETE, Cause.VMCORE_CORRUPT, Cause.VMCORE_RANGES, Cause.VMCORE_FILTER),
        *(Cause.CAPTURE_MISPLACED, Cause.CPU_NOTES, Cause.BACKTRACE, Cause.MEMORY_CHANGED, Cause.CAPTURE_FAILED),
    ),
    expectations={KdumpClean: _clean},
    steps=(CrashKernelStep, CrashStep, CaptureStep),
    needs=_needs,
    headline=("kdump: memory", "kdump: crash"),
)
