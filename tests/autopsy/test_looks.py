"""Watching a guest's CPUs: how often it is looked at, and what ends it."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from evidence.autopsies import cpu

from harness.autopsy import looks
from harness.evidence.defect import Defect
from harness.machine.feed import Feed


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Its CPUs are where ``seen`` says, look by look."""
    monkeypatch.setattr(looks, "GAP_S", 0.001)
    made = SimpleNamespace(feed=Feed(), qmp=None, seen=[])
    monkeypatch.setattr(looks, "read_registers", lambda _qmp, *, timeout_s: made.seen.pop(0))
    return made


MEMORY: Any = SimpleNamespace(stopped=nullcontext)


@pytest.mark.parametrize(("running", "times"), [(True, looks.LOOKS), (False, 1)])
def test_how_often(machine: Any, running: bool, times: int) -> None:
    wanted = [(cpu(rip=address),) for address in range(looks.LOOKS)]
    machine.seen = list(wanted)
    assert list(looks.watch(machine, MEMORY, running=running)) == wanted[:times]


def test_what_cannot_be_read_ends_it(machine: Any) -> None:
    machine.seen = [(cpu(),), Defect("no registers"), (cpu(),)]
    assert list(looks.watch(machine, MEMORY, running=True)) == [(cpu(),), Defect("no registers")]
    assert len(machine.seen) == 1
