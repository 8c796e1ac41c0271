"""What a plan has for a capture kernel: its command line, and the disk that the vmcore is written to. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model.scenario import Scenario
from harness.model.words.kdump import CaptureStep, CrashKernelOptions
from harness.model.words.kexec import NextKernel

CAPTURE_CMDLINE = ("nr_cpus=1", "reset_devices")
"""What every capture kernel is told besides (Documentation/admin-guide/kdump/kdump.rst): one CPU, because the others
are still where the crash left them; and that devices are in use."""
SERIAL = "vmcore"
"""The disk's serial number."""
DISK = "vmcore.disk"
"""Its file in the run directory, while it belongs to the machine."""
_MIB = 2**20


def captures(scenario: Scenario) -> bool:
    """Does a run of this scenario write a vmcore?"""
    return any(isinstance(step, CaptureStep) for step in scenario.steps)


def cmdline_of(options: NextKernel) -> Sequence[str]:
    """A scenario's parameters for a following kernel, and what every capture kernel is told."""
    return [*options.cmdline, *CAPTURE_CMDLINE] if isinstance(options, CrashKernelOptions) else options.cmdline


def disk_bytes(scenario: Scenario) -> int:
    """The size of the disk: the memory, 1/64 of it for an index of its pages, and room for headers. It has holes."""
    memory = scenario.machine.memory
    return memory + memory // 64 + 64 * _MIB if captures(scenario) else 0


def drive(disk_bytes: int) -> list[str]:
    """QEMU's arguments for the disk; none when there is none.

    ``cache=unsafe``: the file outlives QEMU, not the host. ``detect-zeroes=unmap``: most of a raw dump is zeros.
    """
    if not disk_bytes:
        return []
    node = f"{SERIAL}-file"
    options = f"if=none,id={node},format=raw,cache=unsafe,discard=unmap,detect-zeroes=unmap,file={{run}}/{DISK}"
    return ["-drive", options, "-device", f"virtio-blk-pci,drive={node},serial={SERIAL}"]
