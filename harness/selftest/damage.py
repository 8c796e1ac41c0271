"""Ways to damage a run that goes on: memory, the machine, its ports, QEMU's process, the record.

Each function is given the run's stage, while the guest runs, and does one thing. They are called from a thread of
their own, since the one that reads the machine must never wait for it.
"""

from __future__ import annotations

import mmap
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

from harness.clock import Deadline
from harness.errors import HostError
from harness.evidence.ranges import PAGE_BYTES
from harness.machine.gdb import Gdb
from harness.stage.stage import Stage
from harness.subjects.kdump.plan import DISK

Damage = Callable[[Stage], None]

RAM = "ram"
"""The guest's memory as a file in the run directory, for damage that must be found there first."""
_IDT = re.compile(r"^IDT=\s*(?P<base>[0-9a-f]+) ", re.MULTILINE)
_GPA = re.compile(r"^gpa: (?P<address>0x[0-9a-f]+)", re.MULTILINE)
_LOOP = bytes((0xFA, 0xEB, 0xFE))  # cli; jmp .
_SEARCHED_BYTES = 64
_COPIED_BYTES, _COPY_S = 8 * 2**20, 120.0


def flip_table_byte(stage: Stage) -> None:
    """One bit of the first watched table."""
    _flip(stage, stage.watches[0].table.start + 19)


def flip_canary(stage: Stage) -> None:
    """One bit in front of the first watched table."""
    _flip(stage, stage.watches[0].pages.start + 5)


def reset(stage: Stage) -> None:
    """The chipset's reset control register (ICH9 datasheet, 13.7.5): a reset, and not by a triple fault."""
    _monitor(stage, "o /b 0xcf9 6")


def triple_fault(stage: Stage) -> None:
    """An empty IDT: the next interrupt cannot be delivered, nor the double fault, nor anything else."""
    with Gdb.attach(stage.machine.qmp) as session:
        found = _IDT.search(session.monitor("info registers"))
        if found is None:
            raise HostError("no IDT in 'info registers'")
        session.write_physical(_physical(session, int(found["base"], 16)), bytes(PAGE_BYTES))
        session.go_on()


def hang(stage: Stage) -> None:
    """An endless loop with interrupts off, at the next instruction. By the gdb stub, which forgets translated code."""
    with Gdb.attach(stage.machine.qmp) as session:
        session.write_physical(_physical(session, session.registers()[0].ip), _LOOP)
        session.go_on()


def say_panicked(stage: Stage) -> None:
    """The pvpanic device hears of a panic of which the console shows nothing (QEMU, docs/specs/pvpanic.txt)."""
    _monitor(stage, "o /b 0x505 1")


def mute_console(stage: Stage) -> None:
    """COM1's divisor latch in place of its data register: what the kernel prints goes nowhere, and nothing waits."""
    _monitor(stage, "o /b 0x3fb 0x83")


def drop_link(stage: Stage) -> None:
    """QEMU closes its end of COM2."""
    stage.machine.qmp.execute("chardev-change", {"id": "com2", "backend": {"type": "null", "data": {}}})


def kill_qemu(stage: Stage) -> None:
    """As the kernel's memory killer does it."""
    os.kill(stage.machine.process.pid, signal.SIGKILL)


def stop_qemu(stage: Stage) -> None:
    """As a debugger or a person does it."""
    os.kill(stage.machine.process.pid, signal.SIGSTOP)


def fill_disk(stage: Stage) -> None:
    """Every file of the record that is open for writing behaves as on a full disk."""
    directory = stage.writer.directory
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # it was the one of the listing itself
        if target.startswith(f"{directory}/") and not target.endswith("qemu.stderr"):
            full = os.open("/dev/full", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            os.dup2(full, int(name), inheritable=False)
            os.close(full)


def spoil_next_kernel(stage: Stage) -> None:
    """A byte of the next kernel where kexec keeps it until the jump; needs RAM.

    Raises:
        HostError: it is not found in the guest's memory.
    """
    epoch = stage.plan.epochs[stage.recorder.epoch]
    image = Path(epoch.kernel.image).read_bytes()
    middle = len(image) // 2 // PAGE_BYTES * PAGE_BYTES
    wanted = image[middle : middle + _SEARCHED_BYTES]
    found = 0
    with (stage.writer.directory / RAM).open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        at = memory.find(wanted)
        while at >= 0:  # the copy that the guest's program read it from is there too
            memory[at] ^= 0x10
            found += 1
            at = memory.find(wanted, at + 1)
    if not found:
        raise HostError("the next kernel is not in the guest's memory")


def flip_vmcore_byte(stage: Stage) -> None:
    """A byte of the dump on the disk, behind the copying guest's back.

    Raises:
        HostError: the guest wrote nothing.
    """
    path = stage.writer.directory / DISK
    deadline = Deadline.after(_COPY_S)
    # Whoever waits here is woken by the guest's reports of progress, one a second.
    if not stage.machine.feed.until(lambda: path.stat().st_blocks * 512 > _COPIED_BYTES, deadline):
        raise HostError("the capture kernel wrote nothing")
    with path.open("r+b") as file:
        place = os.lseek(file.fileno(), PAGE_BYTES * 256, os.SEEK_DATA)
        byte = os.pread(file.fileno(), 1, place)[0]
        os.pwrite(file.fileno(), bytes((byte ^ 0x10,)), place)


def _flip(stage: Stage, address: int) -> None:
    with Gdb.attach(stage.machine.qmp) as session:
        data = session.read_physical(address, 1)
        if data is None:
            raise HostError(f"no memory at {address:#x}")
        session.write_physical(address, bytes((data[0] ^ 0x10,)))
        session.go_on()


def _physical(session: Gdb, address: int) -> int:
    found = _GPA.search(session.monitor(f"gva2gpa {address:#x}"))
    if found is None:
        raise HostError(f"{address:#x} is not mapped")
    return int(found["address"], 16)


def _monitor(stage: Stage, line: str) -> None:
    stage.machine.qmp.execute("human-monitor-command", {"command-line": line})
