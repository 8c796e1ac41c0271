"""``kernel_placed``: where each kernel lies, and that it lies on nothing that firmware has occupied."""

from __future__ import annotations

from collections.abc import Iterator

from harness.evidence import crash
from harness.evidence.maps import efimap
from harness.evidence.ranges import Range, align_up
from harness.model.causes import Cause
from harness.model.verdict import Check, Evidence
from harness.model.words.memorymap import PlacedWhere, RangeType
from harness.record.observations import Observations
from harness.subjects.common import failed, missing, passed

_NAME = "kernel_placed"
_ALLOCATIONS = "kernel_placed: allocations"
_LOW_END = 1 << 32
_FAILURE = "page allocation failure"


def check_placed(observations: Observations, where: PlacedWhere) -> Check:
    """``Kernel code`` of /proc/iomem is high enough; the kernel covers only memory that was free at the hand-off."""
    evidence: list[Evidence] = []
    for epoch in observations.plan.epochs:
        extent = observations.kernel_extent(epoch.number)
        if extent is None:
            return missing(
                _NAME,
                f"there is no /proc/iomem with a kernel in it from epoch {epoch.number}",
                hint="See the check of the run's end.",
            )
        wrong = _misplaced(observations, extent, where)
        cited = observations.where(epoch.number, "iomem")
        if wrong:
            return failed(
                _NAME,
                Cause.KERNEL_MISPLACED,
                f"the kernel of epoch {epoch.number} lies at {extent}, {wrong}",
                epoch=epoch.number,
                evidence=(Evidence(text=f"Kernel code begins at {extent.start:#x}", where=cited),),
                hint="Look at where the map has free memory: harness memmap show; the rules are in "
                "docs/memory-maps.md.",
            )
        evidence.append(Evidence(text=f"epoch {epoch.number}: the kernel lies at {extent}", where=cited))
    first = observations.kernel_extent(1)
    return passed(
        _NAME,
        f"every kernel lies at or above {where.at_or_above:#x} and on memory that was free"
        + (f"; the first at {first.start:#x}" if first is not None else ""),
        evidence=(*evidence, *_choice(observations, where)),
    )


def _misplaced(observations: Observations, extent: Range, where: PlacedWhere) -> str:
    if extent.start < where.at_or_above:
        return f"below {where.at_or_above:#x}"
    for region in efimap.at(observations.efi_map, extent):
        if not RangeType.has(region.type) or RangeType.of(region.type).kept:
            return f"over {region.type_name} at {region.range}"
    return ""


def _choice(observations: Observations, where: PlacedWhere) -> Iterator[Evidence]:
    """Which of the places that the map leaves the first kernel has taken (efi_random_alloc() counts them like this)."""
    kernel = observations.plan.epochs[0].kernel
    extent = observations.kernel_extent(1)
    if extent is None:
        return
    step, size = kernel.alignment_bytes, kernel.init_size_bytes
    slots: list[int] = []
    for region in observations.efi_map:
        if region.type == efimap.CONVENTIONAL and region.range.start < _LOW_END:
            first = align_up(max(region.range.start, where.at_or_above), step)
            slots += range(first, min(region.range.end, _LOW_END) - size + 1, step)
    below = sum(slot < extent.start for slot in slots)
    nokaslr = "nokaslr" in observations.plan.epochs[0].cmdline.split()
    yield Evidence(
        text=f"the map of the hand-off leaves a kernel of {size:#x} bytes {len(slots)} places at multiples of {step:#x}"
        + (f", from {slots[0]:#x} on; {below} of them lie below the one that was taken" if slots else "")
        + (" (nokaslr)" if nokaslr else " (by a random number)"),
        where=observations.cited(observations.record.frame("memmap")),
    )


def check_allocations(observations: Observations) -> Check:
    """No kernel ran out of a zone: one that lies below 16 MiB takes the memory of ZONE_DMA (2f77465b05b1)."""
    found = [item for item in crash.find(observations.lines) if _FAILURE in item.title]
    if found:
        line = next(line for line in observations.lines if line.number == found[0].line_number)
        epoch = observations.epoch_of(line)
        return failed(
            _ALLOCATIONS,
            Cause.PAGE_ALLOCATION_FAILED,
            f"the kernel of epoch {epoch} found no memory: {found[0].text.strip()[:160]}",
            epoch=epoch,
            evidence=tuple(Evidence(text=item.title, where=f"console.log:{item.line_number}") for item in found[:4]),
            hint="With GFP_DMA in it, memory below 16 MiB is short: does the kernel lie there?",
        )
    return passed(_ALLOCATIONS, f"no page allocation failure in {len(observations.lines)} console lines")
