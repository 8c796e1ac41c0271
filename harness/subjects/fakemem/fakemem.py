"""Did ``efi_fake_mem=`` do in every kernel exactly what it must?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.evidence import klog
from harness.evidence.defect import Defect
from harness.evidence.faking import entries as fakemem
from harness.evidence.faking.compare import Difference, changed_since, compare, undone
from harness.evidence.faking.entries import FakeEntry
from harness.evidence.faking.log import MALFORMED, Row, entries_taken, printed_maps
from harness.evidence.maps import efimap
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.ranges import PAGE_BYTES
from harness.model.causes import Cause
from harness.model.plan import EpochPlan
from harness.model.verdict import Check, Evidence
from harness.model.words.fakemem import FakeMem
from harness.record.observations import Observations
from harness.subjects.common import Unusable, failed, passed, unusable_check

_SHOWN = 6
"""Differences that are quoted; the rest is counted."""


@dataclass(frozen=True)
class FakedMap:
    """The EFI memory map of one kernel with entries, as it printed it."""

    epoch: int
    entries: tuple[FakeEntry, ...]
    base: tuple[EfiRegion, ...]
    """Before the entries: the firmware's map at the hand-off, or the runtime map that kexec handed over."""
    rows: tuple[Row, ...]
    where: str
    """The file that has it."""

    @property
    def regions(self) -> tuple[EfiRegion | None, ...]:
        return tuple(row.region for row in self.rows)

    @property
    def before(self) -> tuple[EfiRegion, ...]:
        """The kernel's own map as it must have been before the entries."""
        return undone([region for region in self.regions if region is not None], self.base, self.entries)


def check_fake_mem(observations: Observations, level: FakeMem) -> Check:
    """The map of every kernel with entries is exactly that of the model."""
    name = "fake_mem"
    evidence: list[Evidence] = []
    problems: list[Unusable] = []
    grew = False
    for plan in faking(observations):
        found = faked_map(observations, plan)
        if isinstance(found, Unusable):
            problems.append(found)
            continue
        differences = compare(found.regions, found.base, found.entries)
        if differences:
            return _mismatch(name, found, differences)
        evidence += _proof(observations, found)
        grew = grew or _pages(observations, len(found.rows)) > _pages(observations, len(found.before))
    if problems:
        return unusable_check(name, problems[0], evidence)
    if level is FakeMem.EXACT_OVER_A_PAGE and not grew:
        return failed(
            name,
            Cause.NO_PAGE_CROSSING,
            "the entries are in the EFI memory map, but it did not grow into another 4 KiB page",
            evidence=tuple(evidence),
            hint="Give more entries: each one splits up to two times.",
        )
    count = sum(len(_entries(plan)) for plan in faking(observations))
    return passed(
        name,
        f"{count} efi_fake_mem entr{'ies' if count != 1 else 'y'} took effect; the EFI memory map is exactly "
        "as computed",
        evidence=tuple(evidence),
    )


def faking(observations: Observations) -> tuple[EpochPlan, ...]:
    """The epochs whose kernel has entries on its command line (or what cannot be read as such)."""
    return tuple(plan for plan in observations.plan.epochs if fakemem.parse_cmdline(plan.cmdline) != ())


def faked_map(observations: Observations, plan: EpochPlan) -> FakedMap | Unusable:
    """What a kernel with entries made of its map, or why that is not known."""
    entries = fakemem.parse_cmdline(plan.cmdline)
    if isinstance(entries, Defect):
        hint = "Write nn[KMG]@ss[KMG]:aa[,...] in whole 4 KiB pages."
        return Unusable(plan.number, Cause.SETUP_NOT_PROVED, f"the scenario is wrong: {entries}", hint)
    lines, where = _log(observations, plan.number)
    refused = _refused(plan, entries, lines)
    if refused is not None:
        return refused
    maps = printed_maps(lines)
    which = 1 if "efi=debug" in plan.cmdline.split() else 0
    if isinstance(maps, Defect) or len(maps) <= which:
        reason = maps if isinstance(maps, Defect) else "the log has none after the entries"
        return _unreported(plan, f"the EFI memory map of epoch {plan.number} is not known: {reason} ({where})")
    base = _base(observations, plan.number)
    if not base:
        return _unreported(plan, f"the EFI memory map that epoch {plan.number} was given is not known")
    return FakedMap(plan.number, entries, base, maps[which], where)


def _entries(plan: EpochPlan) -> tuple[FakeEntry, ...]:
    entries = fakemem.parse_cmdline(plan.cmdline)
    return () if isinstance(entries, Defect) else entries


def _log(observations: Observations, epoch: int) -> tuple[Sequence[klog.Line], str]:
    """The kernel's log as it reported it over the link, which has checksums: a console that is flooded at boot may
    lose bytes (the 16550 driver waits 10 ms for the transmitter, then writes over it). A kernel that did not come up
    has only its console.
    """
    fact = observations.record.fact(epoch, "klog")
    if fact:
        return klog.lines(fact), observations.where(epoch, "klog")
    return observations.epoch_lines(epoch), "console.log"


def _base(observations: Observations, epoch: int) -> tuple[EfiRegion, ...]:
    if epoch == 1:
        return observations.efi_map
    handed = efimap.parse_runtime_map(observations.record.text(epoch - 1, "runtime-map") or "absent")
    return handed if isinstance(handed, tuple) else ()


def _refused(plan: EpochPlan, entries: tuple[FakeEntry, ...], lines: Sequence[klog.Line]) -> Unusable | None:
    """Did the kernel say that it understood the entries, and as we do?"""
    taken = entries_taken(lines)
    said = taken if isinstance(taken, Defect) else taken[-len(entries) :]
    if not isinstance(said, Defect) and _sorted(said) == _sorted(entries):
        return None
    if any(MALFORMED.match(line.text) for line in lines) and not isinstance(taken, Defect):
        text = f"the kernel of epoch {plan.number} took {len(taken)} of {len(entries)} efi_fake_mem entries"
        hint = "CONFIG_EFI_MAX_FAKE_MEM of this kernel is the limit."
        return Unusable(plan.number, Cause.NO_CAPABILITY, text, hint)
    if said == ():
        return _unreported(plan, f"the kernel of epoch {plan.number} never said that it took the efi_fake_mem entries")
    shown = said if isinstance(said, Defect) else ", ".join(map(str, said))
    text = f"the kernel of epoch {plan.number} understood the efi_fake_mem entries differently: {shown}"
    return Unusable(plan.number, Cause.FAKE_MEM_MISMATCH, text)


def _unreported(plan: EpochPlan, text: str) -> Unusable:
    return Unusable(plan.number, Cause.MISSING_REPORT, text)


def _sorted(entries: Sequence[FakeEntry]) -> list[FakeEntry]:
    return sorted(entries, key=lambda entry: (entry.range, entry.attributes))


def _mismatch(name: str, found: FakedMap, differences: Sequence[Difference]) -> Check:
    more = len(differences) - 1
    others = f" (and {more} more difference{'s' if more > 1 else ''})" if more else ""
    return failed(
        name,
        Cause.FAKE_MEM_MISMATCH,
        f"the EFI memory map of epoch {found.epoch} is wrong: {differences[0].text}{others}",
        epoch=found.epoch,
        evidence=(
            *(Evidence(text=f"{item.kind}: {item.text}", where=_line_of(found, item)) for item in differences[:_SHOWN]),
            *([Evidence(text=f"{len(differences) - _SHOWN} more")] if len(differences) > _SHOWN else []),
            Evidence(text=f"asked for: {fakemem.cmdline_parameter(found.entries)}", where="plan.json"),
        ),
        hint=f"The printed map begins at {found.where}:{found.rows[0].line.number}.",
    )


def _line_of(found: FakedMap, item: Difference) -> str:
    """Where the map has the first descriptor that the difference is about."""
    for row in found.rows:
        if row.region is not None and row.region.range.overlaps(item.range):
            return f"{found.where}:{row.line.number}"
    return found.where


def _proof(observations: Observations, found: FakedMap) -> Iterator[Evidence]:
    count, before = len(found.rows), len(found.before)
    where = f"{found.where}:{found.rows[0].line.number}"
    pages = f"{_pages(observations, before)} to {_pages(observations, count)} pages"
    source = "firmware's map" if found.epoch == 1 else f"the runtime map of epoch {found.epoch - 1}"
    yield Evidence(
        text=f"epoch {found.epoch}: {len(found.entries)} entries made {count} descriptors of {before} ({pages}), "
        f"all of them as computed from {source}",
        where=where,
    )
    changed = changed_since(found.regions, found.base)
    if changed:
        shown = "; ".join(f"{where} {text}" for where, text in changed[:_SHOWN])
        yield Evidence(text=f"epoch {found.epoch}: taken or given back before boot services ended: {shown}")


def _pages(observations: Observations, descriptors: int) -> int:
    frame = observations.record.frame("memmap")
    stride = int(frame.fields.get("descriptor_size", "0"), 0) if frame else 0
    return -(-descriptors * stride // PAGE_BYTES)
