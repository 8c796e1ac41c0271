"""Are EFI's mappings, on which firmware runs under Linux, as they must be?"""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.pagetable import walk as paging
from harness.evidence.pagetable.walk import Leaf
from harness.evidence.tables.kinds import KINDS, put_aside
from harness.model import guids
from harness.model.causes import Cause
from harness.model.record import Point
from harness.model.verdict import Check, Evidence
from harness.model.words.pagetables import EfiPages
from harness.model.words.tables import TableName
from harness.record.observations import Observations
from harness.subjects.common import Unusable, judged, passed, unusable_check
from harness.subjects.pagetables.view import View, look

_SHOWN = 6
"""Runs of pages, or differences, that a verdict cites."""
"""64b45dd46e15 "x86/efi: skip memattr table on kexec boot" (v6.14) prints the address it puts in the table's place."""


def check_page_tables(observations: Observations, level: EfiPages) -> Check:
    """Every epoch in which the scenario looks at the page tables."""
    name = f"efi_page_tables: {level}"
    views: list[View] = []
    evidence: list[Evidence] = []
    for plan in observations.plan.epochs:
        found = look(observations, plan)
        if isinstance(found, Unusable):
            return unusable_check(name, found, evidence)
        if found is None:
            continue
        unproved = _unproved(observations, found, level)
        if unproved is not None:
            return unusable_check(name, unproved, [*evidence, found.proof(), *_differences(found)])
        wrong = tuple(leaf for leaf in found.leaves if _wrong(leaf, level))
        if wrong:
            return _failed(name, observations, found, wrong, level)
        views.append(found)
        evidence += [found.proof(), found.agreement()]
    if not views:
        text = "no step of the scenario looked at the page tables"
        return unusable_check(name, Unusable(1, Cause.SETUP_NOT_PROVED, text))
    return passed(name, f"{_HELD[level]} in {_counted(views)}", evidence=tuple(evidence))


_HELD = {
    EfiPages.NO_GLOBAL: "no page of EFI's mappings is global",
    EfiPages.WX_FREE: "no page of EFI's mappings is both writable and executable",
    EfiPages.BOTH_VIEWS: "the page tables read from outside are those that debugfs shows",
}


def _wrong(leaf: Leaf, level: EfiPages) -> bool:
    if level is EfiPages.NO_GLOBAL:
        return leaf.global_
    return level is EfiPages.WX_FREE and leaf.writable and not leaf.nx


def _unproved(observations: Observations, view: View, level: EfiPages) -> Unusable | None:
    """Why nothing can be said about this epoch, although its tables are there."""
    reserved = [leaf for leaf in view.leaves if leaf.reserved]
    if reserved:
        return _unknown(view, f"an entry with reserved bits, which no access gets through: {reserved[0]}")
    plan = next(plan for plan in observations.plan.epochs if plan.number == view.epoch)
    if view.capture.la57 and "no5lvl" in plan.cmdline.split():
        return _unknown(view, "five levels of page tables although the kernel's command line has no5lvl")
    if view.compared is not None and view.compared.differences:
        return _unknown(view, f"the page tables read from outside and debugfs differ: {view.compared.differences[0]}")
    if view.compared is None and level is EfiPages.BOTH_VIEWS:
        text = f"the kernel of epoch {view.epoch} has no page_tables/efi in debugfs"
        hint = "Use a kernel with CONFIG_PTDUMP_DEBUGFS, such as tiny-6.1."
        return Unusable(view.epoch, Cause.NO_CAPABILITY, text, hint)
    return _no_memattr(observations, view) if level is EfiPages.WX_FREE else None


def _no_memattr(observations: Observations, view: View) -> Unusable | None:
    """Only the Memory Attributes Table tells a kernel which parts of runtime code it may map without W or without X."""
    if guids.MEMATTR not in (observations.config_tables or {}):
        return _unknown(view, "firmware has no Memory Attributes Table, so its code must be both")
    baseline = observations.baselines.get(TableName.MEMATTR)
    now = [
        sample
        for sample in observations.samples(TableName.MEMATTR)
        if sample.epoch == view.epoch and sample.point is Point.UP
    ]
    if baseline is None or not now:
        return _unknown(view, "the Memory Attributes Table was not sampled, so nobody knows whether it was intact")
    if observations.record.sampled(now[0]) != baseline.data:
        return _unknown(view, f"the Memory Attributes Table at {baseline.table.start:#x} was damaged before the epoch")
    return None


def _unknown(view: View, text: str) -> Unusable:
    hint = "The run proves nothing about this rule; docs/page-tables.md says what it takes."
    return Unusable(view.epoch, Cause.SETUP_NOT_PROVED, f"epoch {view.epoch}: {text}", hint)


def _differences(view: View) -> tuple[Evidence, ...]:
    found = view.compared.differences if view.compared is not None else ()
    return tuple(Evidence(text=str(item), where=view.reported_in) for item in found[:_SHOWN])


_FAILED = {
    EfiPages.NO_GLOBAL: (Cause.EFI_PAGE_GLOBAL, "are global: their TLB entries outlive the switch to another process"),
    EfiPages.WX_FREE: (Cause.EFI_PAGE_WX, "are both writable and executable"),
}


def _failed(name: str, observations: Observations, view: View, wrong: Sequence[Leaf], level: EfiPages) -> Check:
    cause, said = _FAILED[level]
    runs = paging.merge(wrong)
    cited = [Evidence(text=view.describe(run), where=view.sample.file) for run in runs[:_SHOWN]]
    if len(runs) > _SHOWN:
        cited.append(Evidence(text=f"and {len(runs) - _SHOWN} more such ranges"))
    return judged(
        name,
        cause,
        f"{len(wrong)} of {len(view.leaves)} pages of EFI's mappings {said} in epoch {view.epoch}, first "
        f"{wrong[0].range}{_after_kexec(observations, view) if level is EfiPages.WX_FREE else ''}",
        epoch=view.epoch,
        evidence=(*cited, view.proof(), view.agreement(), *_memattr_seen(observations, view, level)),
        hint=_HINTS[cause],
    )


_HINTS = {
    Cause.EFI_PAGE_GLOBAL: "Global pages belong to the kernel's own half only; see docs/page-tables.md.",
    Cause.EFI_PAGE_WX: "Firmware's Memory Attributes Table says which pages need not be both; see docs/page-tables.md.",
}


def _after_kexec(observations: Observations, view: View) -> str:
    call = next(plan.syscall for plan in observations.plan.epochs if plan.number == view.epoch)
    return "" if call is None else f", after kexec ({call})"


def _memattr_seen(observations: Observations, view: View, level: EfiPages) -> tuple[Evidence, ...]:
    """What the kernel itself said of the table."""
    if level is not EfiPages.WX_FREE:
        return ()
    dropped, said = put_aside(TableName.MEMATTR), f"{KINDS[TableName.MEMATTR].kernel_name}="
    line = next((line for line in observations.epoch_lines(view.epoch) if said in line.text), None)
    if line is None:
        text = f"epoch {view.epoch}: the kernel did not say that it found the Memory Attributes Table"
    elif dropped in line.text:
        text = f"epoch {view.epoch}: the kernel put the Memory Attributes Table aside ({dropped})"
    else:
        text = (
            f"epoch {view.epoch}: the kernel found the Memory Attributes Table, whose bytes are firmware's: {line.text}"
        )
    return (Evidence(text=text, where="console.log" if line is None else f"console.log:{line.number}"),)


def _counted(views: Sequence[View]) -> str:
    levels = dict.fromkeys("5-level" if view.capture.la57 else "4-level" for view in views)
    pages = ", ".join(f"{len(view.leaves)} pages in epoch {view.epoch}" for view in views)
    return f"{pages} ({' and '.join(levels)} tables)"
