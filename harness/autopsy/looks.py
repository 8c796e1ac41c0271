"""A guest's CPUs, looked at again and again while they run: what a late guest does, and what a dead one did."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.clock import Deadline
from harness.evidence.defect import Defect
from harness.evidence.pagetable.virtual import View
from harness.machine.machine import Machine
from harness.machine.memory import Memory
from harness.machine.registers import read_registers
from harness.model.autopsy import Cpu

COMMAND_S = 2.0
"""For one QMP command: QEMU answers in milliseconds, or not at all."""
LOOKS = 8
GAP_S = 0.12
"""Between two looks: with LOOKS of them a guest is watched for about a second."""


def look_once(machine: Machine, memory: Memory) -> tuple[Cpu, ...] | Defect:
    """The registers of all CPUs at one moment.

    Raises:
        QemuError: QEMU does not answer, or refuses.
    """
    with memory.stopped():
        return read_registers(machine.qmp, timeout_s=COMMAND_S)


def watch(machine: Machine, memory: Memory, *, running: bool) -> Iterator[tuple[Cpu, ...] | Defect]:
    """The registers, LOOKS times with the CPUs running between, or once where they stand still; a Defect is the last.

    Raises:
        QemuError: as ``look_once``.
        Interrupted: the user asked to stop.
    """
    for number in range(LOOKS if running else 1):
        if number:
            machine.feed.until(lambda: False, Deadline.after(GAP_S))
        found = look_once(machine, memory)
        yield found
        if isinstance(found, Defect):
            return


def view_of(cpu: Cpu, read: Callable[[int, int], bytes]) -> View:
    """Memory as a CPU sees it, through the kernel's tables when it is in user space."""
    return View(read, cpu.cr3, paged=cpu.paging, la57=cpu.la57, nxe=cpu.nxe, kernel=cpu.cpl == 3)
