"""Which checks judge a run: what all runs are held to, then what the scenario expects. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from harness.model.expectations import (
    EfiPageTables,
    FakeMemExact,
    KdumpClean,
    KexecWouldOverlap,
    NoCrash,
    NoRamdisk,
    SoftReservedExact,
    StressClean,
    TableIntact,
)
from harness.model.plan import Plan
from harness.model.verdict import Check
from harness.record.observations import Observations
from harness.subjects.fakemem.fakemem import check_fake_mem
from harness.subjects.fakemem.softreserved import check_soft_reserved
from harness.subjects.kdump.region import kdump_rules
from harness.subjects.memorymap import placed
from harness.subjects.memorymap.made import check_memory_map
from harness.subjects.memorymap.occupied import check_occupied
from harness.subjects.pagetables.pages import check_page_tables
from harness.subjects.pagetables.stress import check_stress
from harness.subjects.runtime import subject as runtimerules
from harness.subjects.seams import subject as seamrules
from harness.subjects.tables.overlap import check_overlap
from harness.subjects.tables.ramdisk import check_ramdisk
from harness.subjects.tables.table import check_table
from harness.subjects.tables.tpm import check_tpm
from harness.subjects.vitals.console import check_console
from harness.subjects.vitals.crash import check_crash
from harness.subjects.vitals.ending import check_ending
from harness.subjects.vitals.identity import check_identity
from harness.subjects.vitals.setup import check_setup
from harness.subjects.xen import subject as xenrules
from harness.subjects.xen.hypervisor import check_hypervisor

_PLAIN: dict[type, tuple[str, Callable[[Observations], Check | None]]] = {
    NoRamdisk: ("no_ramdisk", check_ramdisk),
    NoCrash: ("no_crash", check_crash),
    StressClean: ("stress", check_stress),
}
"""Expectations without a value."""


def rules(plan: Plan) -> Iterator[tuple[str, Callable[[Observations], Check | None]]]:
    """Every check of a run by its name: what all runs are held to, then what the scenario expects."""
    yield "run", check_ending
    yield "setup", check_setup
    yield "tpm", check_tpm
    yield "memory map", check_memory_map
    yield "identity", check_identity
    yield from runtimerules.always()
    yield from seamrules.always()
    yield "console", check_console
    yield "hypervisor", check_hypervisor
    yield "occupied", check_occupied
    for expectation in plan.scenario.expect:
        match expectation:
            case TableIntact(table_intact=table):
                yield f"table_intact: {table}", partial(check_table, name=table)
            case KexecWouldOverlap(kexec_would_overlap=table):
                yield f"kexec_would_overlap: {table}", partial(check_overlap, name=table)
            case FakeMemExact(fake_mem=exactness):
                yield "fake_mem", partial(check_fake_mem, level=exactness)
            case SoftReservedExact(soft_reserved=extent):
                yield "soft_reserved", partial(check_soft_reserved, level=extent)
            case EfiPageTables(efi_page_tables=rule):
                yield f"efi_page_tables: {rule}", partial(check_page_tables, level=rule)
            case KdumpClean():
                yield from kdump_rules()
            case NoRamdisk() | NoCrash() | StressClean():
                yield _PLAIN[type(expectation)]
            case other:
                yield from runtimerules.expected(other)
                yield from xenrules.expected(other)
                yield from placed.expected(other)
                yield from seamrules.expected(other)
