"""On how many levels of page tables does each kernel run?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.evidence.defect import Defect
from harness.evidence.pagetable import cpulist
from harness.model.causes import Cause
from harness.model.record import ControlEntry
from harness.model.verdict import Check, Evidence
from harness.record.observations import Observations
from harness.subjects.common import judged, passed

_NAME = "paging_levels"
_LA57_BIT = 12
"""CR4.LA57: five-level paging (Intel SDM volume 3A, section 2.5)."""
_FLAG = "la57"
"""In /proc/cpuinfo where the kernel uses five levels; it takes the flag away where it does not (cpu/common.c)."""


def check_paging_levels(observations: Observations, levels: Sequence[int]) -> Check:
    """CR4 of all CPUs from outside, and the kernel's own word."""
    evidence: list[Evidence] = []
    for plan, wanted in zip(observations.plan.epochs, levels, strict=True):
        control = _control(observations, plan.number)
        flags = cpulist.flags(observations.record.text(plan.number, "processors") or "")
        if control is None or not control.cr4 or isinstance(flags, Defect):
            return _check(Cause.MISSING_REPORT, plan.number, "CR4 or /proc/cpuinfo was not read", evidence)
        seen = [5 if value >> _LA57_BIT & 1 else 4 for value in control.cr4]
        said = 5 if _FLAG in flags else 4
        evidence.append(
            Evidence(
                text=f"epoch {plan.number}: CR4 {' '.join(f'{value:#x}' for value in control.cr4)}, read from outside; "
                f"/proc/cpuinfo has {'' if _FLAG in flags else 'no '}{_FLAG}",
                where=observations.where(plan.number, "processors"),
            )
        )
        wrong = next(_wrong(wanted, seen, said), None)
        if wrong and plan.number == 1:
            # Nobody has asked this kernel for anything but its own default: the machine or its build has no more.
            return _check(Cause.NO_CAPABILITY, 1, f"{wrong}; it may be built so", evidence)
        if wrong:
            return _check(Cause.PAGING_LEVELS, plan.number, wrong, evidence)
    said_levels = ", ".join(map(str, levels))
    return passed(_NAME, f"the kernels ran on {said_levels} levels", evidence=tuple(evidence))


def _control(observations: Observations, epoch: int) -> ControlEntry | None:
    entries = observations.record.entries
    return next((item for item in entries if isinstance(item, ControlEntry) and item.epoch == epoch), None)


def _wrong(wanted: int, seen: Sequence[int], said: int) -> Iterator[str]:
    if any(item != wanted for item in seen):
        found = " and ".join(map(str, dict.fromkeys(seen)))
        yield f"the CPUs run on {found} levels of page tables, wanted were {wanted}"
    if said != wanted:
        yield f"the kernel says that it uses {said} levels, wanted were {wanted}"


def _check(cause: Cause, epoch: int, text: str, evidence: Sequence[Evidence]) -> Check:
    return judged(
        _NAME,
        cause,
        f"epoch {epoch}: {text}",
        epoch=epoch,
        evidence=tuple(evidence),
        hint="A kernel uses five levels where it is built with X86_5LEVEL, the CPU has LA57, and no5lvl is not given.",
    )
