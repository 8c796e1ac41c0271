"""Has every kernel the region for its capture kernel that it says it reserved?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.evidence import klog
from harness.evidence.defect import Defect
from harness.evidence.maps import e820, setupdata
from harness.evidence.maps.iomem import CRASH_KERNEL, Resource, at
from harness.evidence.ranges import Range
from harness.model.causes import Cause
from harness.model.plan import EpochPlan
from harness.model.verdict import Check, Evidence
from harness.model.words.kdump import CaptureStep
from harness.record.observations import Observations
from harness.subjects.common import judged, passed

_NAME = "crash_region"
_PARAMETER = "crashkernel="
_SAID = re.compile(r"crashkernel|crash kernel", re.IGNORECASE)
# arch/x86/kernel/setup.c up to 6.6, kernel/crash_reserve.c since.
_RESERVED = re.compile(
    r"Reserving (?P<mib>\d+)MB of memory at (?P<at_mib>\d+)MB for crashkernel"
    r"|crashkernel reserved: (?P<start>0x[0-9a-f]+) - (?P<end>0x[0-9a-f]+)"
)
_REFUSED = re.compile(r"crashkernel reservation failed - memory is in use")
"""A fixed place (SIZE@OFFSET) is taken: what the scenario asks for cannot be had, which is no fault of the kernel."""


@dataclass(frozen=True)
class _Seen:
    """One kernel with crashkernel= on its command line."""

    plan: EpochPlan
    rows: tuple[Resource, ...]
    said: Range | None
    """What it says it reserved."""
    regions: tuple[Resource, ...]
    stale: tuple[Range, ...]
    """Entries of the e820 table it was given that are setup_data: of the kernel before it, so of no use any more."""

    def covers(self, where: Range) -> bool:
        return any(row.range.overlaps(where) for row in self.regions)


def check_crash_region(observations: Observations) -> Check:
    """``Crash kernel`` in /proc/iomem of each kernel with crashkernel=, where the kernel said it is."""
    seen: list[_Seen] = []
    captures = {epoch for epoch, _ in observations.plan.steps(CaptureStep)}
    for plan in observations.plan.epochs:
        if _PARAMETER not in plan.cmdline or plan.number in captures:
            continue
        rows = observations.iomem(plan.number)
        if not rows:
            return _check(Cause.MISSING_REPORT, plan.number, "/proc/iomem was not reported", ())
        seen.append(_look(observations, plan, rows))
        refused = next(filter(_REFUSED.search, (line.text for line in observations.epoch_lines(plan.number))), None)
        if refused and "@" in _asked(plan):
            text = f"{_asked(plan)} asks for memory that is not free: {refused.strip()}"
            return _check(Cause.SETUP_NOT_PROVED, plan.number, text, _evidence(observations, seen))
        wrong = next(_wrong(seen[-1]), None)
        if wrong:
            return _check(Cause.CRASH_REGION_LOST, plan.number, wrong, _evidence(observations, seen))
    return _over_setup_data(observations, seen)


def _asked(plan: EpochPlan) -> str:
    return next((word for word in plan.cmdline.split() if word.startswith(_PARAMETER)), "")


def _look(observations: Observations, plan: EpochPlan, rows: tuple[Resource, ...]) -> _Seen:
    given = observations.record.fact(plan.number, "boot-params") or b""
    return _Seen(
        plan=plan,
        rows=rows,
        said=next(filter(None, map(_reserved, observations.epoch_lines(plan.number))), None),
        regions=tuple(row for row in rows if row.name == CRASH_KERNEL),
        stale=e820.setup_data(given) if plan.number > 1 else (),
    )


def _reserved(line: klog.Line) -> Range | None:
    match = _RESERVED.search(line.text)
    if match is None:
        return None
    if match["start"] is not None:
        return Range(int(match["start"], 16), int(match["end"], 16))
    return Range.sized(int(match["at_mib"]) << 20, int(match["mib"]) << 20)


def _wrong(found: _Seen) -> Iterator[str]:
    said = f", although it says that it reserved {found.said}" if found.said else ""
    if not found.regions:
        yield f"no '{CRASH_KERNEL}' in /proc/iomem{said}"
    elif found.said and found.said not in [row.range for row in found.regions]:
        yield f"'{CRASH_KERNEL}' in /proc/iomem is {found.regions[0].range}{said}"


def _over_setup_data(observations: Observations, seen: Sequence[_Seen]) -> Check:
    """All have their regions. With option ROMs in the machine they must lie where the first kernel had setup_data."""
    evidence = _evidence(observations, seen)
    summary = f"each of {len(seen)} kernels with crashkernel= has its region"
    kexeced = [item for item in seen if item.plan.number > 1]
    if not observations.plan.scenario.machine.option_roms:
        return passed(_NAME, summary, evidence=evidence)
    old = setupdata.first_rom(
        observations.record.fact(1, "boot-params") or b"", observations.record.text(1, "setup-data") or ""
    )
    if isinstance(old, Defect):
        text = f"the option ROMs of the machine did not become setup_data: {old}"
        return _check(Cause.SETUP_NOT_PROVED, 1, text, evidence)
    apart = next((item for item in kexeced if not item.covers(old)), None)
    if apart is not None or not kexeced:
        text = f"no region of a kexec'ed kernel covers {old}, where the first kernel had setup_data"
        epoch = apart.plan.number if apart is not None else 1
        return _check(Cause.NO_OVERLAP, epoch, text, evidence)
    return passed(_NAME, f"{summary}, also over {old}, where the first kernel had setup_data", evidence=evidence)


def _evidence(observations: Observations, seen: Sequence[_Seen]) -> tuple[Evidence, ...]:
    return tuple(_told(observations, seen))


def _told(observations: Observations, seen: Sequence[_Seen]) -> Iterator[Evidence]:
    for item in seen:
        where = observations.where(item.plan.number, "iomem")
        for row in item.regions:
            inside = [outer.name for outer in at(item.rows, row.range) if outer.depth < row.depth]
            text = f"epoch {item.plan.number}: {row.range} : {row.name}" + (f", inside {inside[-1]}" if inside else "")
            yield Evidence(text=text, where=where)
        for stale in item.stale:
            under = " under the region" if item.covers(stale) else ""
            yield Evidence(
                text=f"epoch {item.plan.number}: the e820 table it was given has setup_data of an earlier kernel at "
                f"{stale}{under}",
                where=observations.where(item.plan.number, "boot-params"),
            )
    for line in observations.epoch_lines(seen[-1].plan.number) if seen else ():
        if _SAID.search(line.text) and "command line" not in line.text.lower():
            yield Evidence(text=line.text.strip()[:200], where=f"console.log:{line.number}")


def _check(cause: Cause, epoch: int, text: str, evidence: tuple[Evidence, ...]) -> Check:
    return judged(
        _NAME,
        cause,
        f"epoch {epoch}: {text}",
        epoch=epoch,
        evidence=evidence,
        hint="Read what the kernel said of its reservation; compare /proc/iomem of the epochs.",
    )
