"""The steps that look at page tables, on a machine that is made up but for its memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest
from support.pagetable_records import LOGBOOK_AT, logbook_page
from support.recorded_tables import KERNELS, recorded
from support.synthetic import NONCE

from harness.evidence.pagetable import pagetables
from harness.evidence.pagetable.pagetables import Capture
from harness.machine.frame import Frame
from harness.model.record import Point, SampleEntry
from harness.model.words.pagetables import PageTablesOptions, PageTablesStep, StressOptions, StressStep
from harness.stage.stage import EndedError, Stage
from harness.subjects.pagetables.act import look, stress

LOOK = PageTablesStep(page_tables=PageTablesOptions())


@dataclass
class Machine:
    """Memory with a recorded kernel's page tables and a logbook, and what was asked of all this, in order."""

    capture: Capture
    logbook: bytes
    frames: list[Frame]
    log: list[str] = field(default_factory=list)
    samples: list[SampleEntry] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    stops: int = 0

    def read(self, address: int, size_bytes: int) -> bytes:
        self.log.append("read stopped" if self.stops else "read")
        page = self.logbook if address == LOGBOOK_AT else self.capture.pages.get(address, bytes(4096))
        return page[:size_bytes]

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self.stops += 1
        yield
        self.stops -= 1

    def command(self, name: str, fields: dict[str, str] | None = None) -> None:
        self.log.append(f"command {name} {fields or ''}".strip())

    def wait(self, kind: str, timeout_s: float) -> None:
        self.log.append(f"wait {kind} {timeout_s:g}")

    def sample(self, label: str, data: bytes) -> tuple[str, str]:
        assert label not in self.files
        self.files[label] = data
        return label, "0" * 64

    @property
    def stage(self) -> Stage:
        """What the actions use of a stage."""
        feed = SimpleNamespace(since=lambda: [SimpleNamespace(data=frame) for frame in self.frames])
        times = iter(range(1, 100))
        stage = SimpleNamespace(
            plan=SimpleNamespace(budgets=SimpleNamespace(reply_s=10.0)),
            machine=SimpleNamespace(memory=self, feed=feed),
            recorder=SimpleNamespace(epoch=2, note=lambda text: self.log.append(f"note {text}")),
            writer=SimpleNamespace(now_s=lambda: float(next(times)), sample=self.sample, append=self.samples.append),
            command=self.command,
            wait=self.wait,
        )
        return cast("Stage", stage)


def machine(**changes: int) -> Machine:
    capture, _ = recorded(KERNELS[1])
    frame = Frame(NONCE, 1, "runtime", {"logbook_address": f"{LOGBOOK_AT:#x}"})
    return Machine(capture, logbook_page(capture, **changes), [Frame(NONCE, 0, "go"), frame])  # type: ignore[arg-type]


def test_firmware_is_called_first_and_all_is_read_at_one_moment() -> None:
    made = machine()
    look(made.stage, LOOK, 1)
    assert made.log[:2] == ["command page-tables", "wait page-tables 10"]
    assert set(made.log[2:]) == {"read stopped"}
    assert [(sample.epoch, sample.point, sample.subject) for sample in made.samples] == [
        (2, Point.CALLED, "logbook"),
        (2, Point.CALLED, "page-tables"),
    ]
    tables = made.samples[1]
    assert pagetables.decode(made.files[tables.file]) == made.capture
    assert tables.pages_size_bytes == len(made.files[tables.file])
    assert tables.table_address == made.capture.cr3 & ~4095
    assert made.files[made.samples[0].file] == made.logbook


def test_two_looks_in_one_epoch_are_two_pairs_of_files() -> None:
    made = machine()
    stage = made.stage
    look(stage, LOOK, 1)
    look(stage, LOOK, 1)
    assert len(made.files) == len(made.samples) == 4


@pytest.mark.parametrize("case", ["no driver", "no call", "overwritten"])
def test_without_a_call_in_the_logbook_no_tables_are_read(case: str) -> None:
    made = machine(calls=0 if case == "no call" else 1)
    if case == "no driver":
        made.frames.pop()
    if case == "overwritten":
        made.logbook = bytes(4096)
    look(made.stage, LOOK, 1)
    assert "page-tables" not in {sample.subject for sample in made.samples}
    assert made.log[-1].startswith("note page tables: no call")


def test_a_run_that_ends_while_the_guest_calls_ends_the_step() -> None:
    made = machine()
    stage = made.stage

    def ended(_kind: str, _timeout_s: float) -> None:
        raise EndedError(None, "gone")  # type: ignore[arg-type]

    stage.wait = ended  # type: ignore[method-assign, assignment]
    with pytest.raises(EndedError, match="gone"):
        look(stage, LOOK, 1)
    assert made.samples == []


def test_stress_reads_the_logbook_before_and_after() -> None:
    made = machine()
    stress(made.stage, StressStep(stress=StressOptions(calls=200, loaders=3)), 1)
    fields = {"calls": "200", "loaders": "3"}
    assert made.log == ["read", f"command stress {fields}", "wait stress 110", "read"]
    assert [sample.subject for sample in made.samples] == ["logbook", "logbook"]
