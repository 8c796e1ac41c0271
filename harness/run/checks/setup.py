"""Did every knob of the scenario take effect? A knob without effect proves nothing and is never passed over."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.evidence import canary, efimap
from harness.model.plan import TablePlan
from harness.model.verdict import Cause, Check, Evidence, Status
from harness.run.observations import Baseline, Observations

_NAME = "setup"
# print_unknown_bootoptions(), init/main.c, since 86d1919232cd "init: print out unknown kernel parameters" (v5.14).
_UNKNOWN = re.compile(r'Unknown kernel command line parameters "(?P<names>[^"]*)"')


def check_setup(observations: Observations) -> Check | None:
    """Tables are where the agent was asked to put them, and no kernel disowned a parameter."""
    if observations.record.frame("handoff") is None:
        return None
    evidence: list[Evidence] = []
    for plan in observations.plan.tables:
        baseline = observations.baselines.get(plan.name)
        wrong = _table_wrong(observations, plan, baseline)
        if wrong or baseline is None:
            return Check(
                name=_NAME,
                status=Status.ERROR,
                cause=Cause.SETUP_NOT_PROVED,
                summary=f"the {plan.name.upper()} that the EFI agent was to install is not as planned: {wrong}",
                hint="Look at the agent's frames in journal.jsonl and at debugcon.log.",
            )
        evidence.append(
            Evidence(
                text=f"{plan.name.upper()} of {baseline.table.size_bytes} bytes installed at {baseline.table.start:#x} "
                f"in {plan.memory}, canaries in the rest of {baseline.pages}; read back from outside",
                where=baseline.sample.file,
            )
        )
    unknown = list(_unknown_parameters(observations))
    if unknown:
        return Check(
            name=_NAME,
            status=Status.UNSUPPORTED,
            cause=Cause.NO_CAPABILITY,
            summary=f"this kernel does not know the parameter {unknown[0].text}",
            evidence=tuple(unknown),
            hint="Use a kernel that has it, or take it out of the scenario.",
        )
    if not evidence:
        return None
    return Check(name=_NAME, status=Status.PASS, summary="every knob took effect", evidence=tuple(evidence))


def _table_wrong(observations: Observations, plan: TablePlan, baseline: Baseline | None) -> str:
    """What is wrong with an installed table at the hand-off; empty when nothing is."""
    if baseline is None:
        return "it was never read back"
    address = (observations.config_tables or {}).get(plan.guid)
    if address != baseline.table.start:
        return f"the system table has it at {address and hex(address)}, the agent said {baseline.table.start:#x}"
    if baseline.content != bytes.fromhex(plan.content_hex):
        return "its bytes are not those of the plan"
    if canary.damaged(baseline.data, baseline.pages.start, plan.canary_seed, baseline.table):
        return "its canaries were damaged before the hand-off"
    types = {region.type for region in efimap.at(observations.efi_map, baseline.pages)}
    if types != {plan.memory.number}:
        return f"the memory map gives EFI memory type {sorted(types)}, the plan {plan.memory.number} ({plan.memory})"
    return ""


def _unknown_parameters(observations: Observations) -> Iterator[Evidence]:
    ours = set(observations.plan.scenario.cmdline) | set(observations.plan.scenario.boot.cmdline)
    for kexec in observations.plan.scenario.kexecs:
        ours |= set(kexec.cmdline)
    for line in observations.lines:
        match = _UNKNOWN.search(line.text)
        names = set(match["names"].split()) if match else set()
        for parameter in sorted(names & ours):
            yield Evidence(text=parameter, where=f"console.log:{line.number}")
