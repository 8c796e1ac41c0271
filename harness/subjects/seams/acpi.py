"""Does every kernel find firmware's ACPI tables, and with them all processors?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.evidence.defect import Defect
from harness.evidence.pagetable import cpulist
from harness.model.causes import Cause
from harness.model.verdict import Check, Evidence
from harness.record.observations import Observations
from harness.subjects.common import failed, missing, passed

_NAME = "acpi_present"
_MESSAGE = re.compile(
    r"ACPI: Unable to load the System Description Tables|ACPI (BIOS )?Error|RSDP|Using ACPI \(MADT\)|SMP: Total of"
)
_BAD = re.compile(r"ACPI: Unable to load the System Description Tables|A valid RSDP was not found")


def check_acpi(observations: Observations) -> Check:
    """The tables in sysfs, the CPUs that are online, and no word of a root pointer that is missing."""
    first: frozenset[str] | None = None
    evidence: list[Evidence] = []
    for plan in observations.plan.epochs:
        tables = observations.record.text(plan.number, "acpi-tables")
        online = cpulist.online(observations.record.text(plan.number, "processors") or "")
        if tables is None or isinstance(online, Defect):
            return _missing(plan.number)
        names = frozenset(line.strip() for line in tables.splitlines() if line.strip() not in ("", "absent"))
        first = names if first is None else first
        wrong = next(_wrong(observations, plan.number, names, first, len(online)), None)
        if wrong:
            return _lost(observations, plan.number, wrong, tuple(evidence))
        evidence.append(
            Evidence(
                text=f"epoch {plan.number}: {len(names)} ACPI tables in sysfs ({' '.join(sorted(names))}), "
                f"{len(online)} CPUs online",
                where=observations.where(plan.number, "acpi-tables"),
            )
        )
    cpus = observations.plan.scenario.machine.cpus
    return passed(
        _NAME,
        f"each of {len(evidence)} kernels found {len(first or ())} ACPI tables and {cpus} CPUs",
        evidence=tuple(evidence),
    )


def _wrong(
    observations: Observations, epoch: int, names: frozenset[str], first: frozenset[str], online: int
) -> Iterator[str]:
    if not names:
        yield "the kernel shows no ACPI table"
    said = next((line for line in observations.epoch_lines(epoch) if _BAD.search(line.text)), None)
    if said is not None:
        yield f"the kernel says: {said.text.strip()}"
    if first - names:
        yield f"the kernel shows no ACPI table {' '.join(sorted(first - names))}, which the first kernel has"
    cpus = observations.plan.scenario.machine.cpus
    if online != cpus:
        yield f"{online} of {cpus} CPUs are online"


def _missing(epoch: int) -> Check:
    return missing(
        _NAME,
        f"the guest of epoch {epoch} did not report its ACPI tables and processors",
        epoch=epoch,
        hint="Look at the guest agent's frames in journal.jsonl.",
    )


def _lost(observations: Observations, epoch: int, wrong: str, before: tuple[Evidence, ...]) -> Check:
    words = [line for line in observations.epoch_lines(epoch) if _MESSAGE.search(line.text)]
    return failed(
        _NAME,
        Cause.ACPI_LOST,
        f"epoch {epoch}: {wrong}",
        epoch=epoch,
        evidence=(
            *before,
            *(Evidence(text=line.text.strip()[:200], where=f"console.log:{line.number}") for line in words[:5]),
        ),
        hint="acpi_rsdp_addr is at 0x70 in boot_params (the fact boot-params of the epoch).",
    )
