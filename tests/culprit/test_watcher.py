"""What the watcher makes of the stops of a stub that is none."""

from __future__ import annotations

import re
import threading
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from goldens import TESTDATA
from machine.fake_stub import Answer, packet, stub
from support.recorded import laid_out

from harness.autopsy.atlas import Naming
from harness.clock import Deadline
from harness.culprit import watcher as module
from harness.culprit.watcher import DIRECT_MAPS, Watcher
from harness.evidence.code.culprit import guilty
from harness.machine.gdb import Gdb, Stop
from harness.model.culprit import Culprit, Target, Write
from harness.model.record import Phase, Point
from harness.model.words.tables import TableName
from harness.record.observations import Observations
from harness.record.store import read_record

TARGET = Target(name=TableName.ESRT, start=0x5000, end=0x5008)
UNPAGED = re.sub(r"CR0=[0-9a-f]+", "CR0=00000033", (TESTDATA / "registers/kernel.txt").read_text())
OK = b"+" + packet("OK")


class _Machine:
    """Memory, registers and the stops to come; each stop brings new memory, and perhaps another RIP."""

    def __init__(self, *stops: tuple[int, bytes, int]) -> None:
        self.stops = list(stops)
        self.memory = bytes(8)
        self.rip = 0x1000

    def answers(self) -> dict[str, Answer]:
        return {"Qqemu": OK, "z2": OK, "Z2": OK, "m": self._read, "qRcmd": self._registers, "c": self._go_on}

    def _read(self, text: str) -> bytes:
        address, size_bytes = (int(word, 16) for word in text[1:].split(","))
        piece = self.memory if address == TARGET.start else b"\x90"
        return b"+" + packet(piece.ljust(size_bytes, b"\0")[:size_bytes].hex())

    def _registers(self, _text: str) -> list[bytes]:
        text = re.sub(r"RIP=[0-9a-f]+", f"RIP={self.rip:016x}", UNPAGED)
        return [b"+", packet("O" + text.encode().hex()), packet("OK")]

    def _go_on(self, _text: str) -> list[bytes]:
        if not self.stops:
            return [b"+", b"DIE"]
        watched, self.memory, self.rip = self.stops.pop(0)
        return [b"+", packet(f"T05thread:01;watch:{watched:x};")]


def _stage(ended: int | None = 0) -> Any:
    return SimpleNamespace(
        machine=SimpleNamespace(
            feed=SimpleNamespace(now_s=lambda: 1.0),
            process=SimpleNamespace(wait=lambda _timeout_s: ended),
            qmp=None,
        ),
        recorder=SimpleNamespace(epoch=2, phase=Phase.JUMP),
        observations=lambda: Observations(read_record(laid_out("esrt-kexec-load-6.1"))),
    )


def follow(machine: _Machine, *, ended: int | None = 0) -> tuple[tuple[Write, ...], list[str], list[str]]:
    """The writes, the notes, and what the stub heard."""
    watcher = Watcher(lambda _stage: (TARGET,), Naming(), arm_at=(Point.HANDOFF, 2))
    with stub(machine.answers()) as (gdb, fake), mock.patch.object(Gdb, "attach", return_value=nullcontext(gdb)):
        watcher(_stage(ended), Point.HANDOFF)
        for thread in threading.enumerate():
            if thread.name == "watchpoints":
                thread.join(10)
        watcher.close()
    assert watcher.armed
    return watcher.writes(), watcher.notes, fake.heard


def test_a_loop_is_one_write() -> None:
    steps = [(TARGET.start, bytes([1] * (index + 1)).ljust(8, b"\0"), 0x1000) for index in range(8)]
    writes, notes, _ = follow(_Machine(*steps))
    (write,) = writes
    assert (write.count, write.start, write.end, write.after_hex) == (8, 0x5000, 0x5008, "01" * 8)
    assert (write.before_hex, write.epoch, write.registers["rip"]) == ("00" * 8, 2, 0x1000)
    assert notes == []


def test_two_instructions_are_two_writes() -> None:
    writes, _, _ = follow(
        _Machine((TARGET.start, b"\1".ljust(8, b"\0"), 0x1000), (TARGET.start, b"\1\2".ljust(8, b"\0"), 0x2000))
    )
    assert [(write.start, write.end, write.registers["rip"]) for write in writes] == [
        (0x5000, 0x5001, 0x1000),
        (0x5001, 0x5002, 0x2000),
    ]


def test_the_same_address_of_another_address_space_does_not_count() -> None:
    # Without paging the direct map's address is not where the table is.
    assert follow(_Machine((DIRECT_MAPS[0] + TARGET.start, b"\1" * 8, 0x1000)))[0] == ()


def test_a_write_that_changes_nothing_is_kept_and_accuses_nobody() -> None:
    writes, _, _ = follow(_Machine((TARGET.start, bytes(8), 0x1000)))
    assert [(write.start, write.end) for write in writes] == [(0x5000, 0x5000)]
    culprit = Culprit(variant="v", targets=(TARGET,), damaged=(TARGET,), writes=writes)
    assert guilty(culprit) is None


def test_it_gives_up_after_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STOPS", 3)
    steps = [(TARGET.start, bytes([index]) * 8, 0x1000 + index) for index in range(3)]
    writes, notes, heard = follow(_Machine(*steps))
    assert len(writes) == 3
    assert notes == ["after 3 writes nothing more was watched"]
    assert [text for text in heard if text.startswith("z2")] == [
        f"z2,{base + TARGET.start:x},8" for base in (0, *DIRECT_MAPS)
    ]


def test_a_stub_that_ends_while_qemu_lives_is_noted() -> None:
    assert follow(_Machine(), ended=None)[1][0].startswith("the watch ended early: the connection")
    assert follow(_Machine(), ended=0)[1] == []


def test_it_arms_at_its_border_only(tmp_path: Path) -> None:
    asked: list[Any] = []

    def choose(stage: Any) -> tuple[Target, ...]:
        asked.append(stage)
        return ()

    watcher = Watcher(choose, Naming())
    stage: Any = SimpleNamespace(recorder=SimpleNamespace(epoch=0), writer=SimpleNamespace(directory=tmp_path))
    for point in Point:
        watcher(stage, point)
    assert asked == [stage]
    assert not watcher.armed
    assert "nothing to watch" in watcher.notes[0]
    watcher.close()


def test_a_stop_by_qmp_is_nothing() -> None:
    with stub({"c": [b"+", packet("T02thread:01;")]}) as (gdb, _):
        gdb.go_on()
        assert gdb.wait_stop(Deadline.after(1)) == Stop(2, 0, None)
        assert isinstance(gdb, Gdb)
