"""A model of where kexec_file_load(2) puts kernel and initrd on x86, and what it would do without a reservation.

Read from kernel/kexec_file.c (locate_mem_hole_top_down, locate_mem_hole_callback, kexec_add_buffer) and
arch/x86/kernel/kexec-bzimage64.c (bzImage64_load) of 5.10 to 7.x. Not modelled, so the self-check fails on them:
CONFIG_ARCH_KEEP_MEMBLOCK (free memblock instead of the resource tree), kexec handover (scratch areas only), CMA.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.evidence.defect import Defect
from harness.evidence.maps.segments import Role, Segment, overlapping
from harness.evidence.ranges import PAGE_BYTES, Range, align_down, align_up

# arch/x86/kernel/kexec-bzimage64.c, the same from 5.10 to 7.x.
MIN_PURGATORY = 0x3000
MIN_BOOT_PARAMS = 0x3000
MIN_KERNEL = 0x100000
MIN_INITRD = 0x1000000


class Rule(StrEnum):
    """In which order the System RAM ranges are tried; inside a range placement is always top down."""

    LOW_FIRST = "low first"
    """Linux <= 6.7."""
    HIGH_FIRST = "high first"
    """Linux >= 6.8 (walk_system_ram_res_rev)."""


@dataclass(frozen=True)
class Request:
    """One buffer to place, as kexec_add_buffer() gets it."""

    role: Role
    buffer_bytes: int
    memory_bytes: int
    """Rounded up to whole pages when placed."""
    alignment_bytes: int
    minimum: int
    """The lowest address allowed."""


@dataclass(frozen=True)
class KernelNeeds:
    """From the bzImage header of the kernel that was loaded."""

    init_size_bytes: int
    alignment_bytes: int
    pref_address: int


@dataclass(frozen=True)
class Counterfactual:
    """Where the segments would be if the kernel had not reserved the table's pages."""

    model_agrees: bool
    """With the real memory map the model gives the real places. When False, nothing is proved."""
    would_be: tuple[Segment, ...]
    """The segments in the model without the reservation; empty when the model does not agree."""
    overlapping: Segment | None
    """The one of ``would_be`` that covers the table, or None."""
    text: str
    """One or two sentences with the figures."""

    @property
    def proved(self) -> bool:
        """The reservation, and nothing else, kept a segment off the table."""
        return self.model_agrees and self.overlapping is not None


def place(
    ram: Sequence[Range], requests: Sequence[Request], rule: Rule, taken: Sequence[Range] = ()
) -> tuple[Segment, ...] | Defect:
    """Place each request in turn; a Defect when one does not fit, as the kernel would say EADDRNOTAVAIL.

    Args:
        ram: System RAM ranges in ascending order, not merged.
        taken: segments that are there already and are not placed.
    """
    ranges = ram if rule is Rule.LOW_FIRST else tuple(reversed(ram))
    placed: list[Segment] = []
    for index, request in enumerate(requests):
        used = [*taken, *(segment.range for segment in placed)]
        where = next(filter(None, (_hole(item, request, used) for item in ranges)), None)
        if where is None:
            return Defect(f"no place for the {request.role} of {request.memory_bytes:#x} bytes")
        placed.append(Segment(index, request.buffer_bytes, where, request.role))
    return tuple(placed)


def _hole(ram: Range, request: Request, used: Iterable[Range]) -> Range | None:
    """The highest place in one RAM range (locate_mem_hole_top_down)."""
    size = align_up(request.memory_bytes, PAGE_BYTES)
    alignment = max(request.alignment_bytes, PAGE_BYTES)
    if ram.size_bytes < size:
        return None
    start = align_down(ram.end - size, alignment)
    while start >= ram.start and start >= request.minimum:
        where = Range.sized(start, size)
        blocker = next((item for item in used if item.overlaps(where)), None)
        if blocker is None:
            return where
        # The kernel steps down page by page and aligns: the next aligned place clear of the blocker is the same.
        if blocker.start < size:
            return None
        start = align_down(blocker.start - size, alignment)
    return None


def requests_of(actual: Sequence[Segment], needs: KernelNeeds, *, respect_pref_address: bool) -> tuple[Request, ...]:
    """The requests that led to ``actual``, in its order (purgatory, boot_params, kernel, initrd).

    Segments of other roles are left out: they stay where they are.

    Args:
        respect_pref_address: does the *running* kernel have 43b1d3e68ee7 "kexec: Allocate kernel above bzImage's
            pref_address" (6.9)?
    """
    kernel_minimum = max(MIN_KERNEL, needs.pref_address) if respect_pref_address else MIN_KERNEL
    rules = {
        Role.PURGATORY: (PAGE_BYTES, MIN_PURGATORY),
        Role.BOOT_PARAMS: (PAGE_BYTES, MIN_BOOT_PARAMS),
        Role.KERNEL: (needs.alignment_bytes, kernel_minimum),
        Role.INITRD: (PAGE_BYTES, MIN_INITRD),
    }
    return tuple(
        Request(
            segment.role,
            segment.buffer_bytes,
            needs.init_size_bytes if segment.role is Role.KERNEL else segment.range.size_bytes,
            *rules[segment.role],
        )
        for segment in actual
        if segment.role in rules
    )


def filled(ram: Sequence[Range], hole: Range) -> tuple[Range, ...]:
    """``ram`` with ``hole`` added and joined with the ranges it touches; other splits stay as they are."""
    near = [item for item in ram if item.start <= hole.end and hole.start <= item.end]
    joined = Range(min([hole.start, *(item.start for item in near)]), max([hole.end, *(item.end for item in near)]))
    return tuple(sorted([joined, *(item for item in ram if item not in near)]))


def counterfactual(
    ram: Sequence[Range], reserved: Range, actual: Sequence[Segment], needs: KernelNeeds, table: Range | None = None
) -> Counterfactual:
    """Fill the reserved hole back into RAM and place everything again.

    Which rule the running kernel follows is decided by which one reproduces ``actual`` on the real map, not by its
    version. Where several do, all of them must lead to an overlap.

    Args:
        ram: ``harness.evidence.maps.iomem.system_ram`` of the kernel that loaded the next one.
        reserved: the hole, usually ``table.pages``.
        actual: what ``harness.evidence.maps.segments.parse_kernel`` found.
        table: what must be covered; ``reserved`` when None.
    """
    table = reserved if table is None else table
    fixed = tuple(segment.range for segment in actual if segment.role is Role.OTHER)
    real = _main_places(actual)
    if Role.KERNEL not in real:
        return Counterfactual(False, (), None, "not proved: no segment is known to be the kernel")
    agreeing = [
        (requests, rule)
        for requests, rule in _variants(actual, needs)
        if _main_places(place(ram, requests, rule, fixed)) == real
    ]
    if not agreeing:
        return Counterfactual(
            False, (), None, f"not proved: no placement rule of the model puts {_places(real)}, as this kernel did"
        )
    outcomes = [place(filled(ram, reserved), requests, rule, fixed) for requests, rule in agreeing]
    return _conclusion(outcomes, real, reserved, table)


def _variants(actual: Sequence[Segment], needs: KernelNeeds) -> Iterator[tuple[tuple[Request, ...], Rule]]:
    for rule in Rule:
        for respect in (False, True):
            yield requests_of(actual, needs, respect_pref_address=respect), rule


def _main_places(segments: Sequence[Segment] | Defect) -> dict[Role, Range]:
    if isinstance(segments, Defect):
        return {}
    return {segment.role: segment.range for segment in segments if segment.role in (Role.KERNEL, Role.INITRD)}


def _places(places: dict[Role, Range]) -> str:
    return " and ".join(f"the {role} at {where}" for role, where in places.items())


def _conclusion(
    outcomes: Sequence[tuple[Segment, ...] | Defect], real: dict[Role, Range], reserved: Range, table: Range
) -> Counterfactual:
    """All agreeing variants must lead to an overlap; otherwise one that does not is shown."""
    check = f"the model puts {_places(real)} with the real map, as this kernel did"
    first: tuple[Segment, tuple[Segment, ...]] | None = None
    for outcome in outcomes:
        if isinstance(outcome, Defect):
            return Counterfactual(True, (), None, f"{check}; without the reservation of {reserved} {outcome.text}")
        hits = overlapping(outcome, table)
        if not hits:
            places = _places(_main_places(outcome))
            text = f"{check}; without the reservation of {reserved} it puts {places}, off {table}"
            return Counterfactual(True, outcome, None, text)
        first = first or (hits[0], outcome)
    if first is None:
        return Counterfactual(False, (), None, "not proved: the model gave nothing")
    hit, segments = first
    text = f"{check}; without the reservation of {reserved} the {hit.role} would lie at {hit.range}, over {table}"
    return Counterfactual(True, segments, hit, text)
