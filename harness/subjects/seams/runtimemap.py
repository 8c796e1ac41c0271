"""Are the EFI runtime regions handed on whole?"""

from __future__ import annotations

from harness.model.causes import Cause
from harness.model.verdict import Check, Evidence
from harness.record.observations import Observations
from harness.subjects.common import judged, passed

_NAME = "runtime_map"


def check_runtime_map(observations: Observations) -> Check:
    """The lines of each kernel's runtime-map, whatever their numbers, against those of the kernel before."""
    evidence: list[Evidence] = []
    before: frozenset[str] | None = None
    for plan in observations.plan.epochs:
        reported = observations.record.text(plan.number, "runtime-map")
        regions = _regions(reported or "")
        if reported is None or (before is None and not regions):
            text = "the guest did not report a runtime-map"
            return _check(Cause.MISSING_REPORT, plan.number, text, tuple(evidence))
        where = observations.where(plan.number, "runtime-map")
        if before is not None and regions != before:
            gone, new = sorted(before - regions), sorted(regions - before)
            evidence += [Evidence(text=f"before, not now: {item}", where=where) for item in gone[:5]]
            evidence += [Evidence(text=f"now, not before: {item}", where=where) for item in new[:5]]
            text = f"{len(gone)} EFI runtime regions of the kernel before are missing, {len(new)} are new"
            return _check(Cause.RUNTIME_MAP_CHANGED, plan.number, text, tuple(evidence))
        evidence.append(Evidence(text=f"epoch {plan.number}: {len(regions)} regions", where=where))
        before = regions
    return passed(
        _NAME,
        f"{len(before or ())} EFI runtime regions, the same in all {len(evidence)} kernels",
        evidence=tuple(evidence),
    )


def _regions(text: str) -> frozenset[str]:
    """Each line without the number of its entry."""
    return frozenset(line.strip().partition(" ")[2] for line in text.splitlines() if "type=" in line)


def _check(cause: Cause, epoch: int, text: str, evidence: tuple[Evidence, ...]) -> Check:
    return judged(
        _NAME,
        cause,
        f"epoch {epoch}: {text}",
        epoch=epoch,
        evidence=evidence,
        hint="kexec_file_load copies efi_runtime_map, kexec-tools reads it from sysfs.",
    )
