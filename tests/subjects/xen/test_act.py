"""The borders of Xen on a machine that is made up but for its memory; the directory that firmware sees as a disk."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.synthetic import NONCE, hypervisor, kernel, plan, prepared, scenario

from harness.evidence.ranges import Range
from harness.evidence.tables.configtable import parse_array
from harness.machine.frame import Frame
from harness.machine.happenings import Happening, Line, Source
from harness.model import guids
from harness.model.plan import Plan
from harness.model.record import Point
from harness.model.words.tables import TableName
from harness.stage.stage import Stage
from harness.stage.watch import Watch
from harness.subjects.xen import act as xen
from harness.subjects.xen import disk as xendisk
from harness.subjects.xen import view as xenview

CONFIG_AT, OLD, NEW = 0x3F000000, 0x3BFFF100, 0x3F773018
PAGES = Range.sized(0x3BFFF000, 4096)
LINES = (
    "(XEN) Xen version 4.17.7 (Debian) debug=n",
    "(XEN) [2026-11-28 17:00:00] Freed 2048kB init memory",
)


def config(address: int) -> bytes:
    """A configuration table with an ESRT in it."""
    return b"".join(
        uuid.UUID(guid).bytes_le + struct.pack("<Q", where)
        for guid, where in ((guids.ACPI20, 0x3FB7D014), (guids.ESRT, address))
    )


@dataclass
class Machine:
    """What is sampled, in order; Xen moves the ESRT before its first line."""

    plan: Plan
    log: list[str] = field(default_factory=list)
    pointer: int = OLD

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self.log.append("stop")
        yield
        self.log.append("go on")

    def read(self, address: int, size_bytes: int) -> bytes:
        assert (address, size_bytes) == (CONFIG_AT, 48)
        return config(self.pointer)

    def until(self, what: str, success: Callable[[Happening], str | None], _timeout_s: float) -> str:
        found = [success(Happening(1.0, Source.CONSOLE, "line", Line(text, 0))) for text in ("noise", *LINES)]
        (said,) = filter(None, found)
        self.log.append(what)
        self.pointer = NEW
        return said

    def stage(self) -> tuple[Stage, dict[str, Range]]:
        also: dict[str, Range] = {}
        stage = SimpleNamespace(
            plan=self.plan,
            machine=SimpleNamespace(memory=self),
            watches=[Watch(TableName.ESRT, PAGES, Range.sized(OLD, 136))],
            also=also,
            until=self.until,
            sample=lambda point: self.log.append(f"{point}: {' '.join(also)}"),
            probe=lambda point: self.log.append(f"probe {point}"),
        )
        return cast("Stage", stage), also


def made(**values: Any) -> Plan:
    base: dict[str, Any] = {"steps": [{"boot": {}}], "expect": [{"no_crash": True}]}
    having = prepared([kernel()])
    on_xen = type(having)(**{**having.__dict__, "hypervisor": hypervisor()})
    return plan(scenario(**{**base, **values}), on_xen)


SYSTAB = Frame(NONCE, 3, "systab", {"config_address": hex(CONFIG_AT), "count": "2"}, b"")


def test_what_xen_has_moved_is_sampled_from_then_on() -> None:
    machine = Machine(made(hypervisor={"name": "xen-4.17"}))
    stage, also = machine.stage()
    xen.prepare(stage, [SYSTAB])
    assert also == {xenview.CONFIG_TABLES: Range.sized(CONFIG_AT, 48)}
    xen.hypervisor(stage)
    assert also["esrt-copy"] == Range.sized(NEW, 136)
    both = "config-tables esrt-copy"
    first = ["first line of Xen", "stop", f"{Point.XEN}: {both}", "go on", "probe xen"]
    assert machine.log == [*first, "dom0 entered", "stop", f"{Point.DOM0}: {both}", "go on", "probe dom0"]


def test_without_a_hypervisor_nothing_is_done() -> None:
    machine = Machine(made())
    stage, also = machine.stage()
    xen.prepare(stage, [SYSTAB])
    xen.hypervisor(stage)
    assert (also, machine.log) == ({}, [])


def test_without_a_report_of_the_agent_nothing_is_prepared() -> None:
    stage, also = Machine(made(hypervisor={"name": "xen-4.17"})).stage()
    xen.prepare(stage, [])
    assert also == {}


def test_the_disk_is_links_and_one_file(tmp_path: Path) -> None:
    on_xen = made(hypervisor={"name": "xen-4.17"})
    xendisk.create(tmp_path, on_xen)
    esp = tmp_path / "esp"
    assert {path.name for path in esp.iterdir()} == {"xen.efi", "xen.cfg", "vmlinuz", "initrd"}
    assert (esp / "vmlinuz").readlink() == on_xen.epochs[0].kernel.image
    assert on_xen.hypervisor is not None
    assert (esp / "xen.cfg").read_text() == on_xen.hypervisor.config


def test_no_disk_without_a_hypervisor(tmp_path: Path) -> None:
    xendisk.create(tmp_path, made())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("extra", [b"", b"\0" * 10])
def test_a_configuration_table_is_read_by_whole_entries(extra: bytes) -> None:
    assert parse_array(config(NEW) + extra) == {guids.ACPI20: 0x3FB7D014, guids.ESRT: NEW}
