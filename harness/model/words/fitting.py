"""What is right by itself and not in this machine or beside the other steps: a mistake found before any run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.model.base import PAGE_BYTES, MisplacedError
from harness.model.words.kdump import CrashKernelStep
from harness.model.words.kexec import KexecStep, NextKernel
from harness.model.words.memorymap import KernelPlaced, ram

if TYPE_CHECKING:
    from harness.model.scenario import Scenario

KERNEL_BYTES = 64 * 2**20
"""What the smallest kernel here needs to live, beside an initrd."""
_CRASHKERNEL = "crashkernel="
_MORE = "; or give it more: machine.memory"


def misfits(scenario: Scenario) -> Iterator[MisplacedError]:
    """Every one, each with its place in the scenario."""
    yield from _steps(scenario)
    yield from _tables(scenario)
    yield from _kernel_places(scenario)


def _steps(scenario: Scenario) -> Iterator[MisplacedError]:
    epoch = 0
    for number, step in enumerate(scenario.steps):
        place = ("steps", number)
        if isinstance(step, KexecStep):
            yield from _pad(step.kexec, scenario.machine.memory, (*place, "kexec"))
        elif isinstance(step, CrashKernelStep):
            yield from _pad(step.crash_kernel, scenario.machine.memory, (*place, "crash_kernel"))
            words = [word for parameters in scenario.cmdlines[epoch - 1] for word in parameters.split()]
            if not any(word.startswith(_CRASHKERNEL) for word in words):
                where = "cmdline" if epoch == 1 else "cmdline, or that of the kexec before it"
                yield MisplacedError(
                    place,
                    f"crash_kernel needs {_CRASHKERNEL} on the command line of the kernel that runs then, which keeps "
                    f"memory for the capture kernel; add {_CRASHKERNEL}192M to {where}",
                )
        epoch += step.starts_next


def _pad(kernel: NextKernel, memory_bytes: int, place: tuple[str | int, ...]) -> Iterator[MisplacedError]:
    """A kernel holds its initrd twice: as it was loaded, and unpacked; the one before held it as a file and loaded."""
    most = (memory_bytes - KERNEL_BYTES) // 2
    if kernel.pad > most:
        yield MisplacedError(
            (*place, "initrd", "pad"),
            f"is not possible in {memory_bytes // 2**20}MiB of memory, which must hold the initrd twice and a kernel; "
            f"at most {most // 2**20}MiB, or more with machine.memory",
        )


def _tables(scenario: Scenario) -> Iterator[MisplacedError]:
    extents = ram(scenario.machine.memory)
    where = ", ".join(f"{start:#x}-{end - 1:#x}" for start, end in extents)
    for number, table in enumerate(scenario.firmware.tables):
        place = ("firmware", "tables", number, table.name.replace("-", "_"))
        at, below = table.request.at, table.request.below
        if at is not None and not any(start <= at and at + PAGE_BYTES <= end for start, end in extents):
            yield MisplacedError(
                (*place, "at"), f"is not in the guest's memory ({where}); or give it more: machine.memory"
            )
        if below is not None and not PAGE_BYTES <= below <= extents[-1][1]:
            yield MisplacedError(
                (*place, "below"),
                f"is not in or right behind the guest's memory ({where}){_MORE}",
            )


def _kernel_places(scenario: Scenario) -> Iterator[MisplacedError]:
    extents = ram(scenario.machine.memory)
    where = ", ".join(f"{start:#x}-{end - 1:#x}" for start, end in extents)
    wanted = scenario.firmware.memory
    at = wanted.kernel_at if wanted is not None else None
    if at is not None and not any(start <= at < end for start, end in extents):
        yield MisplacedError(("firmware", "memory", "kernel_at"), f"is not in the guest's memory ({where})")
    for number, item in enumerate(scenario.expect):
        if isinstance(item, KernelPlaced) and item.kernel_placed.at_or_above >= extents[-1][1]:
            yield MisplacedError(
                ("expect", number, "kernel_placed", "at_or_above"),
                f"is not in the guest's memory ({where}): no kernel can lie there",
            )
