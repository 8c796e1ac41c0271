"""From Xen's first line to dom0, and what became of firmware's tables on the way: read from outside."""

from __future__ import annotations

import re
from collections.abc import Callable

from harness.evidence import acpi
from harness.evidence.acpi import AcpiTable
from harness.evidence.defect import Defect
from harness.evidence.ranges import Range
from harness.evidence.tables.configtable import ENTRY_BYTES, parse_array, parse_listing
from harness.machine.frame import Frame
from harness.machine.happenings import Happening, Line
from harness.model.record import Point
from harness.model.words.tables import TableName
from harness.stage.stage import Stage
from harness.subjects.xen import view as xenview

_BEGINS = re.compile(r"\(XEN\) (?:\[[^\]]*\] )?Xen version ")
_ENTERS_DOM0 = re.compile(r"\(XEN\) (?:\[[^\]]*\] )?Freed \d+kB init memory")
"""xen/arch/x86/setup.c, init_done(): the last line before the first instruction of dom0, on 4.17 and 4.20."""


def prepare(stage: Stage, frames: list[Frame]) -> None:
    """At the hand-off: have the configuration tables, and the ACPI table of a watched BGRT, sampled from now on."""
    if stage.plan.hypervisor is None:
        return
    systab = next((frame for frame in frames if frame.kind == "systab"), None)
    if systab is None:
        return
    size_bytes = int(systab.fields["count"]) * ENTRY_BYTES
    stage.also[xenview.CONFIG_TABLES] = Range.sized(int(systab.fields["config_address"], 0), size_bytes)
    if any(watch.name is TableName.BGRT for watch in stage.watches):
        tables = parse_listing(systab.body.decode("ascii", "replace"))
        rsdp = tables if isinstance(tables, Defect) else acpi.find_rsdp(tables)
        table = acpi.find_table(stage.machine.memory.read, rsdp, "BGRT") if isinstance(rsdp, int) else rsdp
        if isinstance(table, AcpiTable):
            stage.also[xenview.BGRT_TABLE] = table.range


def hypervisor(stage: Stage) -> None:
    """Xen has started and is about to enter dom0; nothing for a plan without a hypervisor.

    Raises:
        EndedError: it did not come so far.
    """
    if stage.plan.hypervisor is None:
        return
    for what, pattern, point in (
        ("first line of Xen", _BEGINS, Point.XEN),
        ("dom0 entered", _ENTERS_DOM0, Point.DOM0),
    ):
        stage.until(what, _says(pattern), stage.plan.budgets.boot_s)
        with stage.machine.memory.stopped():
            _follow(stage)
            stage.sample(point)
        stage.probe(point)


def _says(pattern: re.Pattern[str]) -> Callable[[Happening], str | None]:
    def success(happening: Happening) -> str | None:
        text = happening.data.text if isinstance(happening.data, Line) else ""
        return text if pattern.search(text) else None

    return success


def _follow(stage: Stage) -> None:
    """Where the configuration table now points somewhere else, what lies there is sampled too, from now on."""
    where = stage.also.get(xenview.CONFIG_TABLES)
    if where is None:
        return
    now = parse_array(stage.machine.memory.read(where.start, where.size_bytes))
    for watch in stage.watches:
        address = now.get(xenview.guid_of(stage.plan, watch.name))
        if address is not None and address != watch.table.start:
            stage.also[xenview.copy_of(watch.name)] = Range.sized(address, watch.table.size_bytes)
