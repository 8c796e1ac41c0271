"""Which checks belong to the expectations of a scenario with a hypervisor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from harness.model.base import Value
from harness.model.verdict import Cause, Check
from harness.model.xen import XenReused, XenTable, XenTablesProtected
from harness.record.observations import Observations
from harness.subjects.xen.history import check_xen_reused
from harness.subjects.xen.hypervisor import check_xen_tables
from harness.subjects.xen.outcome import check_xen_table

Rule = tuple[str, Callable[[Observations], Check | None]]

DAMAGE = (Cause.XEN_TABLE_UNPROTECTED, Cause.XEN_TABLE_LOST)
"""Accuse Xen or dom0 only where the tables were set up as planned, on the Xen that was planned."""
CONSEQUENCES = {
    Cause.XEN_TABLE_UNPROTECTED: frozenset(
        {Cause.XEN_TABLE_UNPROTECTED, Cause.DOM0_CRASHED, Cause.PANIC, Cause.OOPS, Cause.HANG}
    ),
    Cause.DOM0_CRASHED: frozenset({Cause.DOM0_CRASHED, Cause.PANIC, Cause.OOPS}),
    Cause.XEN_PANIC: frozenset({Cause.XEN_PANIC, Cause.PANIC}),
}
"""Causes of other checks that only say again what a cause does."""


def expected(expectation: Value) -> Iterator[Rule]:
    """The checks of one expectation; none for those that are not about Xen."""
    match expectation:
        case XenTable(xen_table=options):
            yield f"xen_table: {options.table}", partial(check_xen_table, options=options)
        case XenTablesProtected():
            yield "xen_tables", check_xen_tables
        case XenReused(xen_reused=table):
            yield f"xen_reused: {table}", partial(check_xen_reused, name=table)
