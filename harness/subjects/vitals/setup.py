"""Did every knob of the scenario take effect? A knob without effect proves nothing and is never passed over."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.evidence.maps import efimap
from harness.evidence.tables import canary
from harness.evidence.tables.kinds import KINDS
from harness.model.causes import Cause
from harness.model.plan import TablePlan
from harness.model.verdict import Check, Evidence
from harness.record.frames import InstalledTable
from harness.record.observations import Baseline, Observations
from harness.subjects.common import failed, judged, passed

_NAME = "setup"
# print_unknown_bootoptions(), init/main.c, since 86d1919232cd "init: print out unknown kernel parameters" (v5.14).
_UNKNOWN = re.compile(r'Unknown kernel command line parameters "(?P<names>[^"]*)"')
# Read by the decompressor (arch/x86/boot/compressed/pgtable_64.c), so the kernel proper disowns it although it took
# effect. Whether it did is seen in the page tables (harness.subjects.pagetables.pages).
_READ_BEFORE = {"no5lvl"}


def check_setup(observations: Observations) -> Check | None:
    """Tables are where the agent was asked to put them, no kernel disowned a parameter, each kexec used its call."""
    unknown = tuple(_unknown_parameters(observations))
    if unknown:
        names = ", ".join(dict.fromkeys(item.text.partition(":")[0] for item in unknown))
        return failed(
            _NAME,
            Cause.NO_CAPABILITY,
            f"a kernel of this run does not know its parameter {names}",
            evidence=unknown,
            hint="Use a kernel that has it, or take it out of the scenario.",
        )
    if observations.record.frame("handoff") is None:
        return _not_handed_off(observations)
    evidence: list[Evidence] = []
    for plan in observations.plan.tables:
        baseline = observations.baselines.get(plan.name)
        word = KINDS[plan.name].word
        cause, wrong = _table_wrong(observations, plan, baseline)
        if cause is not None or baseline is None:
            return _failed(cause or Cause.SETUP_NOT_PROVED, f"the {word} to be installed: {wrong}")
        evidence.append(
            Evidence(
                text=f"{word} of {baseline.table.size_bytes} bytes installed at {baseline.table.start:#x} "
                f"in {plan.memory}, canaries in the rest of {baseline.pages}; read back from outside",
                where=baseline.sample.file,
            )
        )
    for load in observations.loads:
        said = load.frame.fields.get("syscall")
        if said != load.syscall.value:
            text = f"the guest of epoch {load.epoch} says that it loaded by {said!r}, planned was {load.syscall}"
            return _failed(Cause.SETUP_NOT_PROVED, text)
    if not evidence:
        return None
    return passed(_NAME, "the EFI agent set up what the scenario asks for", evidence=tuple(evidence))


def _failed(cause: Cause, summary: str) -> Check:
    return judged(_NAME, cause, summary, hint="Look at the agents' frames in journal.jsonl and at debugcon.log.")


def _not_handed_off(observations: Observations) -> Check | None:
    """A run may end before the hand-off; a kernel that runs without one was not started by the agent."""
    if not observations.entered:
        return None
    return _failed(Cause.MISSING_REPORT, "the EFI agent never reported the hand-off, but a kernel was started")


def _table_wrong(observations: Observations, plan: TablePlan, baseline: Baseline | None) -> tuple[Cause | None, str]:
    """What is wrong with an installed table at the hand-off; no cause when nothing is."""
    if baseline is None:
        reason = observations.unwatched(plan.name)
        why = f" ({reason})" if reason else ""
        return Cause.MISSING_REPORT, f"it was never read back from outside{why}"
    if observations.config_tables is None:
        return Cause.MISSING_REPORT, "the EFI agent did not report the system table, so nothing shows that it is in it"
    if not observations.efi_map:
        return Cause.MISSING_REPORT, "the EFI agent's memory map is missing or cannot be decoded"
    wrong = next(_misplaced(observations, plan, baseline), "")
    return (Cause.SETUP_NOT_PROVED, wrong) if wrong else (None, "")


def _misplaced(observations: Observations, plan: TablePlan, baseline: Baseline) -> Iterator[str]:
    yield from _unlisted(observations, plan, baseline)
    if plan.at is not None and baseline.pages.start != plan.at:
        yield f"its pages are {baseline.pages}, not at {plan.at:#x}"
    if plan.below is not None and baseline.pages.end > plan.below:
        yield f"its pages are {baseline.pages}, not below {plan.below:#x}"
    if plan.copied:
        found = KINDS[plan.name].find({plan.guid: baseline.table.start}, lambda _at, _size: baseline.content)
        if found != baseline.table:
            yield f"its bytes at the hand-off are not a whole table of firmware: {found}"
    elif baseline.content != bytes.fromhex(plan.content_hex):
        yield "its bytes at the hand-off are not those of the plan"
    spoiled = canary.damaged(baseline.data, baseline.pages.start, plan.canary_seed, baseline.table)
    if spoiled:
        yield f"its canaries were damaged before the hand-off, at {spoiled[0]}"
    types = sorted({region.type for region in efimap.at(observations.efi_map, baseline.pages)})
    if types != ([plan.memory.number] if plan.listed else []):
        names = " and ".join(
            dict.fromkeys(region.type_name for region in efimap.at(observations.efi_map, baseline.pages))
        )
        yield (
            f"the EFI memory map gives its pages {baseline.pages} as {names or 'nothing'}, "
            f"planned was {efimap.TYPE_NAMES[plan.memory.number] if plan.listed else 'nothing'}"
        )


def _unlisted(observations: Observations, plan: TablePlan, baseline: Baseline) -> Iterator[str]:
    """Can a kernel find it? That an ACPI table points to it was seen from outside when it was sampled."""
    if plan.acpi is not None:
        frame = observations.record.frame("table", 0, name=plan.name.value)
        signature = bytes.fromhex(plan.acpi.content_hex)[:4].decode("ascii")
        if frame is None or InstalledTable.read(frame.fields).acpi != signature:
            yield f"the EFI agent did not report that it has installed an ACPI table {signature}"
        return
    address = (observations.config_tables or {}).get(plan.guid)
    if address is None:
        yield f"the system table does not list its GUID {plan.guid}"
    elif address != baseline.table.start:
        yield f"the system table has it at {address:#x}, but {baseline.table.start:#x} was sampled"


def _unknown_parameters(observations: Observations) -> Iterator[Evidence]:
    ours = set(observations.plan.scenario.cmdline) | set(observations.plan.scenario.boot.cmdline)
    for kexec in observations.plan.scenario.following:
        ours |= set(kexec.cmdline)
    for line in observations.lines:
        match = _UNKNOWN.search(line.text)
        names = set(match["names"].split()) if match else set()
        for parameter in sorted(names & ours - _READ_BEFORE):
            yield Evidence(
                text=f"{parameter}: unknown to the kernel of epoch {observations.epoch_of(line)}",
                where=f"console.log:{line.number}",
            )
