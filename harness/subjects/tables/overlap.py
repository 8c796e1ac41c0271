"""``kexec_would_overlap``: could this run have found the bug at all?

A table that no segment ever came near is intact on any kernel. So each kexec must either have put a segment over the
table, or be shown to do so once the table's reservation is taken away (``harness.evidence.maps.placement``).
"""

from __future__ import annotations

from harness.evidence.maps import efimap, iomem
from harness.evidence.maps.placement import KernelNeeds, counterfactual
from harness.evidence.maps.segments import Role, Segment, overlapping
from harness.evidence.tables.kinds import KINDS
from harness.model.causes import Cause
from harness.model.verdict import Check, Evidence
from harness.model.words.kexec import Syscall
from harness.model.words.tables import TableName
from harness.record.observations import Baseline, Load, Observations
from harness.subjects.common import failed, missing, passed

# Loader and boot services code and data, conventional memory: what Linux makes System RAM of
# (setup_e820(), drivers/firmware/efi/libstub/x86-stub.c).
_ORDINARY_RAM = frozenset({1, 2, 3, 4, 7})


def check_overlap(observations: Observations, name: TableName) -> Check:
    """Proof, kexec by kexec."""
    title = f"kexec_would_overlap: {name}"
    baseline = observations.baselines.get(name)
    if baseline is None and observations.record.frame("handoff") is None:
        return missing(
            title, "the EFI agent did not get as far as the hand-off", hint="See the check of the run's end."
        )
    if baseline is None:
        return failed(
            title,
            Cause.NO_TABLE,
            f"no {KINDS[name].word} was found at the hand-off that a kexec segment could cover",
            hint=f"See the check table_intact: {name}, or the notes.",
        )
    planned = len(observations.plan.epochs) - 1
    if not planned or len(observations.loads) < planned:
        return missing(
            title,
            f"{len(observations.loads)} of {planned} kexecs are known to have been loaded",
            hint="See the check of the run's end." if planned else "The scenario has no kexec step.",
        )
    evidence: list[Evidence] = []
    covered = 0
    for load in observations.loads:
        proved, item = _proof(observations, baseline, load)
        if not proved:
            return failed(
                title,
                Cause.NO_OVERLAP,
                f"the kexec out of epoch {load.epoch} proves nothing about the {KINDS[name].word} at "
                f"{baseline.table.start:#x}: {item.text}",
                epoch=load.epoch,
                evidence=(*evidence, item),
                hint="Make the initrd larger (initrd: {pad: ...}) or put the table elsewhere (below: / at:).",
            )
        evidence.append(item)
        covered += bool(overlapping(load.segments, baseline.table))
    return passed(title, _summary(covered, planned, baseline), evidence=tuple(evidence))


def _summary(covered: int, planned: int, baseline: Baseline) -> str:
    over = f"a segment over {baseline.table}"
    if covered == planned:
        return f"the kexec puts {over}" if planned == 1 else f"all {planned} kexecs put {over}"
    would = "would, were its pages not reserved"
    if not covered:
        return (
            f"the kexec puts no {over[2:]}, but {would}"
            if planned == 1
            else (f"none of the {planned} kexecs puts {over}, but each {would}")
        )
    return f"{covered} of {planned} kexecs {'puts' if covered == 1 else 'put'} {over}; every other {would}"


def _proof(observations: Observations, baseline: Baseline, load: Load) -> tuple[bool, Evidence]:
    where = load.shown_in
    if not load.segments:
        who = "kexec-tools" if load.syscall is Syscall.LOAD else "the kernel (it needs DYNAMIC_DEBUG for that)"
        return False, Evidence(text=f"{who} did not show its segments", where=where)
    covering = overlapping(load.segments, baseline.table)
    if covering:
        text = f"epoch {load.epoch}, {load.syscall}: {covering[0]} covers the table"
        return True, Evidence(text=text, where=where)
    reason = _cannot_be_modelled(observations, baseline, load)
    if reason:
        return False, Evidence(text=reason, where=where)
    kernel = load.target.kernel
    result = counterfactual(
        iomem.system_ram(observations.iomem(load.epoch)),
        baseline.pages.pages,
        _in_loading_order(load),
        KernelNeeds(kernel.init_size_bytes, kernel.alignment_bytes, kernel.pref_address),
        baseline.table,
    )
    return result.proved, Evidence(text=f"epoch {load.epoch}, {load.syscall}: {result.text}", where=where)


def _cannot_be_modelled(observations: Observations, baseline: Baseline, load: Load) -> str:
    """Why nothing can be said of the places without the table's reservation; empty when something can."""
    covers = f"none of its {len(load.segments)} segments covers it"
    if not observations.efi_map:
        return f"{covers}, and the EFI memory map is missing or cannot be decoded"
    types = efimap.at(observations.efi_map, baseline.table)
    if not types or not {region.type for region in types} <= _ORDINARY_RAM:
        names = " and ".join(dict.fromkeys(region.type_name for region in types)) or "not in the EFI memory map"
        return f"{covers}, and its memory ({names}) is no System RAM even without a reservation"
    if not observations.iomem(load.epoch):
        return f"{covers}, and /proc/iomem of epoch {load.epoch} is missing or cannot be read"
    return ""


def _in_loading_order(load: Load) -> tuple[Segment, ...]:
    """kexec-tools sorts its segments by address; it placed the kernel and then the initrd after all others
    (kexec/arch/i386/kexec-bzImage.c, do_bzImage_load), as the kernel does by itself.
    """
    order = {Role.KERNEL: 1, Role.INITRD: 2}
    return tuple(sorted(load.segments, key=lambda segment: order.get(segment.role, 0)))
