"""The control registers that are kept for ``paging_levels``, from what QEMU's monitor says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

from goldens import TESTDATA
from support.synthetic import kernel, plan, prepared, scenario

from harness.model.record import ControlEntry, Point
from harness.stage.stage import Stage
from harness.subjects.vitals.act import begun

LEVELS = {"expect": [{"paging_levels": [5, 4]}]}
REGISTERS = (TESTDATA / "registers" / "kernel.txt").read_text()


class Fake:
    """A stage on which every wait ends at once; what it was asked for, in order."""

    def __init__(self, answer: str, **values: Any) -> None:
        self.log: list[str] = []
        self.entries: list[ControlEntry] = []
        self.plan = plan(scenario(**values), prepared([kernel()] * 2))
        self.answer = answer
        self.machine = SimpleNamespace(memory=self, qmp=self)
        self.writer = SimpleNamespace(now_s=lambda: 1.5, append=self.entries.append)
        self.recorder = SimpleNamespace(epoch=2, note=lambda text: self.log.append(f"note {text}"))

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self.log.append("stop")
        yield
        self.log.append("go on")

    def wait(self, kind: str, timeout_s: float) -> None:
        self.log.append(f"wait {kind}")

    def sample(self, point: Point) -> None:
        self.log.append(f"sample {point}")

    def execute(self, command: str, arguments: dict[str, str], *, timeout_s: float) -> str:
        self.log.append(arguments["command-line"])
        return self.answer

    def up(self) -> None:
        begun(cast("Stage", self), self.plan.epochs[1])


def test_cr4_of_all_cpus_is_kept_while_they_stand_still() -> None:
    fake = Fake(REGISTERS, **LEVELS)
    fake.up()
    assert fake.log == ["wait hello", "wait up", "sample up", "stop", "info registers -a", "go on"]
    (entry,) = fake.entries
    assert (entry.epoch, entry.point, len(entry.cr4)) == (2, Point.UP, 1)
    assert all(f"CR4={value:08x}" in REGISTERS for value in entry.cr4)


def test_what_cannot_be_read_becomes_a_note() -> None:
    fake = Fake("what?", **LEVELS)
    fake.up()
    assert fake.entries == []
    assert fake.log[-1].startswith("note no control registers: no CPU in the monitor's answer")


def test_nobody_asks_for_registers_that_no_check_reads() -> None:
    fake = Fake(REGISTERS)
    fake.up()
    assert fake.log == ["wait hello", "wait up", "sample up"]
