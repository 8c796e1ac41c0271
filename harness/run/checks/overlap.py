"""``kexec_would_overlap``: could this run have found the bug at all?

A table that no segment ever came near is intact on any kernel. So each kexec must either have put a segment over the
table, or be shown to do so once the table's reservation is taken away (``harness.evidence.placement``).
"""

from __future__ import annotations

from harness.evidence import efimap, iomem
from harness.evidence.placement import KernelNeeds, counterfactual
from harness.evidence.segments import Role, Segment, overlapping
from harness.model.scenario import TableName
from harness.model.verdict import Cause, Check, Evidence, Status
from harness.run.observations import Baseline, Load, Observations

# Loader and boot services code and data, conventional memory: what Linux makes System RAM of
# (setup_e820(), drivers/firmware/efi/libstub/x86-stub.c).
_ORDINARY_RAM = frozenset({1, 2, 3, 4, 7})


def check_overlap(observations: Observations, name: TableName) -> Check:
    """Proof, kexec by kexec."""
    title = f"kexec_would_overlap: {name}"
    baseline = observations.baselines.get(name)
    if baseline is None and observations.record.frame("handoff") is None:
        return Check(
            name=title,
            status=Status.ERROR,
            cause=Cause.MISSING_REPORT,
            summary="the EFI agent did not get as far as the hand-off",
            hint="See the check of the run's end.",
        )
    if baseline is None:
        return Check(
            name=title,
            status=Status.UNSUPPORTED,
            cause=Cause.NO_TABLE,
            summary=f"there is no {name.upper()} that a kexec segment could cover",
            hint=f"See table_intact: {name}.",
        )
    if not observations.loads:
        return Check(
            name=title,
            status=Status.ERROR,
            cause=Cause.MISSING_REPORT,
            summary="no kexec was loaded",
            hint="See the check of the run's end.",
        )
    evidence: list[Evidence] = []
    for load in observations.loads:
        proved, item = _proof(observations, baseline, load)
        if not proved:
            return Check(
                name=title,
                status=Status.ERROR,
                cause=Cause.NO_OVERLAP,
                summary=f"the kexec out of epoch {load.epoch} proves nothing about the {name.upper()} at "
                f"{baseline.table.start:#x}: {item.text}",
                epoch=load.epoch,
                evidence=(*evidence, item),
                hint="Make the initrd larger (initrd: {pad: ...}) or put the table elsewhere (below: / at:).",
            )
        evidence.append(item)
    return Check(
        name=title,
        status=Status.PASS,
        summary=f"each of the {len(evidence)} kexecs covers {baseline.table}, or would without its reservation",
        evidence=tuple(evidence),
    )


def _proof(observations: Observations, baseline: Baseline, load: Load) -> tuple[bool, Evidence]:
    where = _where(observations, load)
    if not load.segments:
        return False, Evidence(text="neither kexec-tools nor the kernel showed its segments", where=where)
    covering = overlapping(load.segments, baseline.table)
    if covering:
        text = f"epoch {load.epoch}, {load.syscall}: {covering[0]} covers the table"
        return True, Evidence(text=text, where=where)
    types = {region.type for region in efimap.at(observations.efi_map, baseline.table)}
    if not types or not types <= _ORDINARY_RAM:
        return False, Evidence(text="its memory would not be System RAM without a reservation either", where=where)
    kernel = load.target.kernel
    result = counterfactual(
        iomem.system_ram(observations.iomem(load.epoch)),
        baseline.pages.pages,
        _in_loading_order(load),
        KernelNeeds(kernel.init_size_bytes, kernel.alignment_bytes, kernel.pref_address),
        baseline.table,
    )
    return result.proved, Evidence(text=f"epoch {load.epoch}, {load.syscall}: {result.text}", where=where)


def _in_loading_order(load: Load) -> tuple[Segment, ...]:
    """kexec-tools sorts its segments by address; it placed the kernel and then the initrd after all others
    (kexec/arch/i386/kexec-bzImage.c, do_bzImage_load), as the kernel does by itself.
    """
    order = {Role.KERNEL: 1, Role.INITRD: 2}
    return tuple(sorted(load.segments, key=lambda segment: order.get(segment.role, 0)))


def _where(observations: Observations, load: Load) -> str:
    klog = observations.record.frame("fact", load.epoch, name="kexec-klog")
    if load.syscall.value == "file" and klog is not None and klog.body_file:
        return klog.body_file
    return load.frame.body_file or "journal.jsonl"
