"""Hang or slow: whether a guest that has used up its time is still at work.

The rule: when a budget ends, the guest is watched for a second. One that has reported a crash, or stands still, or
circles in one place, hangs. One that prints, runs a program, or goes through many functions is slow, and gets half of
the budget more, twice at most; the record says so each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.autopsy.atlas import Naming, make_chart
from harness.autopsy.looks import COMMAND_S, view_of, watch
from harness.errors import HostError
from harness.evidence import crash, klog
from harness.evidence.code.autopsy import Progress, progress
from harness.evidence.code.whose import Atlas
from harness.evidence.defect import Defect
from harness.machine.happenings import Source
from harness.machine.machine import Machine
from harness.machine.memory import Memory
from harness.model.autopsy import Cpu, Place
from harness.record.observations import Observations

EXTENSIONS = 2
EXTENSION = 0.5
"""Of the budget, each."""


def still_moving(machine: Machine, observations: Observations, *, epoch: int, naming: Naming) -> Progress:
    """Watch a guest that is late for a second, and say whether it is at work.

    Args:
        observations: the record so far.

    Raises:
        Interrupted: the user asked to stop.
    """
    feed = machine.feed
    cursor, console_bytes = feed.cursor(), machine.console.size_bytes
    memory = Memory(machine.qmp, machine.directory, timeout_s=COMMAND_S)
    watched: list[tuple[Cpu, ...]] = []
    try:
        running = machine.qmp.status(timeout_s=COMMAND_S) == "running"
        for cpus in watch(machine, memory, running=True) if running else ():
            if isinstance(cpus, Defect):
                return Progress(False, f"it cannot be looked at: {cpus}")
            watched.append(cpus)
        said = machine.console.size_bytes - console_bytes
        frames = sum(happening.source is Source.LINK for happening in feed.since(cursor))
        seen = _Places(observations, epoch, naming).of(watched, memory)
    except HostError as error:
        return Progress(False, f"it cannot be looked at: {error.message}")
    crashed = bool(crash.find(_own_lines(observations, epoch)))
    return progress(
        seen, operands=_operands(watched), console_bytes=said, frames=frames, crashed=crashed, running=running
    )


def _operands(looks: Sequence[Sequence[Cpu]]) -> int:
    """The different pairs of RDI and RSI of the CPU that had most, when it ran."""
    pairs: dict[int, set[tuple[int, int]]] = {}
    for cpu in (cpu for look in looks for cpu in look if not cpu.halted):
        pairs.setdefault(cpu.index, set()).add((cpu.general["rdi"], cpu.general["rsi"]))
    return max(map(len, pairs.values()), default=0)


def _own_lines(observations: Observations, epoch: int) -> Sequence[klog.Line]:
    """What the epoch's kernel has printed: a capture kernel's epoch begins with the crash of the one before it."""
    lines = observations.epoch_lines(epoch)
    banners = klog.banners(lines)
    return [line for line in lines if line.offset >= banners[-1].line.offset] if banners else lines


@dataclass(frozen=True)
class _Places:
    """Names for what was seen."""

    observations: Observations
    epoch: int
    naming: Naming

    def of(self, looks: Sequence[Sequence[Cpu]], memory: Memory) -> list[list[tuple[Place, bool]]]:
        """For each look the place of each CPU and whether it was halted.

        Raises:
            QemuError: memory cannot be read.
        """
        if not looks:
            return []
        with memory.stopped():
            view = view_of(looks[-1][0], memory.read)
            chart = make_chart(self.observations, self.epoch, self.naming, view=view, read=memory.read)
            return [[(self._place(cpu, chart.atlas, memory), cpu.halted) for cpu in look] for look in looks]

    def _place(self, cpu: Cpu, atlas: Atlas, memory: Memory) -> Place:
        return atlas.place(cpu.ip, cpu, view_of(cpu, memory.read), memory.read)
