"""Registers and the stack of the CPUs in a dump."""

from __future__ import annotations

import gzip

from support.kdump_records import Kdump, red, without_note
from support.words import Told

from harness.model.causes import Cause


def test_a_cpu_without_registers(raw: Kdump) -> None:
    raw.rewrite(without_note(raw.file.read_bytes(), b"CORE"))
    red(raw.judge(), Cause.CPU_NOTES, "kdump: cpus")


def test_another_number_of_cpus(raw: Kdump, told: Told) -> None:
    raw.edit_plan(lambda plan: plan["scenario"]["machine"].update(cpus=2))
    red(told(raw.judge()), Cause.CPU_NOTES, "kdump: cpus")


def test_a_stack_of_nonsense(raw: Kdump) -> None:
    """The symbols are of a kernel whose code is elsewhere."""
    table = gzip.decompress((raw.path / "symbols.gz").read_bytes()).decode()
    moved = table.replace("sysrq", "other").replace("sys_rq", "other")
    (raw.path / "symbols.gz").write_bytes(gzip.compress(moved.encode()))
    red(raw.judge(), Cause.BACKTRACE, "kdump: stack")
