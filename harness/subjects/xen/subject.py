"""The row of Xen between firmware and the kernel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from harness.model.causes import Cause
from harness.model.kernel import Capability, KernelImage
from harness.model.scenario import Scenario
from harness.model.words.tables import TableName
from harness.model.words.xen import XenReused, XenTable, XenTablesProtected
from harness.subjects.claims import Always, Rule, Subject
from harness.subjects.xen.history import check_xen_reused
from harness.subjects.xen.hypervisor import check_hypervisor, check_xen_tables
from harness.subjects.xen.outcome import check_xen_table


def _table(item: XenTable) -> Iterator[Rule]:
    yield f"xen_table: {item.xen_table.table}", partial(check_xen_table, options=item.xen_table)


def _reused(item: XenReused) -> Iterator[Rule]:
    yield f"xen_reused: {item.xen_reused}", partial(check_xen_reused, name=item.xen_reused)


def _needs(scenario: Scenario, kernels: Sequence[KernelImage]) -> Iterator[tuple[KernelImage, Capability]]:
    if scenario.hypervisor is not None:
        yield kernels[0], Capability.XEN_DOM0


def _watched(scenario: Scenario) -> Iterator[TableName]:
    for item in scenario.expect:
        match item:
            case XenTable():
                yield item.xen_table.table
            case XenReused():
                yield item.xen_reused


SUBJECT = Subject(
    name="xen",
    causes=(
        *(Cause.XEN_TABLE_UNPROTECTED, Cause.XEN_TABLE_LOST, Cause.XEN_RESERVE, Cause.XEN_PANIC, Cause.DOM0_CRASHED),
        Cause.NOT_REUSED,
    ),
    expectations={
        XenTable: _table,
        XenTablesProtected: lambda _item: [("xen_tables", check_xen_tables)],
        XenReused: _reused,
    },
    always=(Always(80, "hypervisor", check_hypervisor),),
    needs=_needs,
    watched=_watched,
    headline=("xen_table",),
)
