"""Everything about one run, decided before anything starts; written to ``plan.json``.

A plan is a pure function of scenario, kernels, firmware and host, but for its run id and nonce.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from harness.model.base import StepValue, Value
from harness.model.kernel import KernelImage
from harness.model.names import MemoryType
from harness.model.scenario import Scenario
from harness.model.words.driver import FirmwareArch, RuntimePlan
from harness.model.words.kexec import Syscall
from harness.model.words.memorymap import MemoryPlan
from harness.model.words.tables import TableName
from harness.model.words.xen import HypervisorPlan

S = TypeVar("S", bound=StepValue)

TPM_CHARDEV = "tpm"
"""QEMU's name for the socket to swtpm. The machine brings it, as it does those of console, link and QMP."""


class Accel(StrEnum):
    TCG = "tcg"
    KVM = "kvm"


class FirmwareFiles(Value):
    """A firmware build, found through QEMU's firmware descriptors (docs/interop/firmware.json of QEMU)."""

    name: str
    code: Path
    vars_template: Path
    descriptor: str
    """The descriptor file it was found by, or the option that named it."""
    version: str = ""
    """Package and version where known, such as ``ovmf 2022.11-6+deb12u2``."""
    arch: FirmwareArch = FirmwareArch.X64
    smm: bool = False
    """Whether it needs a machine with SMM and flash that only SMM may write (feature ``requires-smm``)."""


class AcpiPlan(Value):
    """An ACPI table that points to what the EFI agent has installed."""

    content_hex: str
    """The whole table, without the address and the checksum."""
    pointer: int
    """Offset of the address, 8 bytes."""


class TablePlan(Value):
    """One table the EFI agent installs.

    The agent allocates ``pages`` pages of ``memory``, fills them with canary words (see
    ``harness.evidence.tables.canary``), copies ``content`` to page offset ``offset`` and installs it as a configuration
    table under ``guid``, or through the ACPI table ``acpi``.
    """

    name: TableName
    guid: str
    """Empty where there is ``acpi``."""
    acpi: AcpiPlan | None = None
    memory: MemoryType
    at: int | None = None
    """Where the pages begin."""
    below: int | None = None
    """Where the pages end at the latest."""
    pages: int
    """How many."""
    offset: int
    """Of the table in them, bytes."""
    canary_seed: int
    content_hex: str
    """Empty with ``copied``."""
    copied: bool = False
    """The content is a copy of the table that firmware has under ``guid``."""
    listed: bool = True
    """Are its pages in the memory map that the kernel gets?"""


class Payload(Value):
    """A file the guest reads from a read-only virtio-blk disk, named by the disk's serial."""

    serial: str
    """At most 20 bytes (virtio-blk's limit)."""
    path: Path
    size_bytes: int
    """The file's true size; the disk is rounded up to whole sectors."""


class EpochPlan(Value):
    """One kernel of the run. Epoch 1 is started by firmware, epoch N+1 by a kexec in epoch N."""

    number: int
    kernel: KernelImage
    cmdline: str
    initrd: Path
    initrd_size_bytes: int
    without_initrd: bool = False
    """It is loaded without the initrd, cannot report, and ends where it would mount its root."""
    syscall: Syscall | None = None
    """How this epoch is entered; None for the first."""
    kernel_serial: str = ""
    initrd_serial: str = ""
    """The disks that the previous epoch reads this epoch's kernel and initrd from."""
    actions: tuple[Any, ...] = Field(default=(), exclude=True, repr=False)
    """Not read. Until 2026-12 plans said here again what the scenario's steps say."""


class Budgets(Value):
    """Seconds allowed for each phase, already scaled for this host and accelerator."""

    firmware_s: float
    boot_s: float
    load_s: float
    kexec_s: float
    reply_s: float


class Plan(Value):
    """One run, complete."""

    format: int = 1
    run_id: str
    variant: str
    """``esrt/kexec-file[debian-6.1-cloud,ovmf-x64]``."""
    nonce: str
    """Eight lower case hexadecimal digits, new for each run."""
    scenario: Scenario
    scenario_file: str = ""
    command: tuple[str, ...] = ()
    """The command line that runs this variant again, a word each; empty where none does, and in older plans."""
    firmware: FirmwareFiles
    accel: Accel
    accel_reason: str
    qemu: Path
    qemu_version: str
    swtpm: Path | None = None
    """The program behind the machine's TPM, where the scenario wants one."""
    tables: tuple[TablePlan, ...] = ()
    memory: MemoryPlan | None = None
    """The shape of the memory map, where the scenario wants one."""
    runtime: RuntimePlan | None = None
    """The runtime driver, where the scenario wants one."""
    hypervisor: HypervisorPlan | None = None
    """Xen, where the scenario wants it: it is started instead of the first kernel, and starts that as dom0."""
    watch: tuple[TableName, ...] = ()
    """Tables sampled from outside at every border."""
    epochs: tuple[EpochPlan, ...]
    vmcore_disk_bytes: int = 0
    """Size of the disk that a capture kernel writes to; 0 for a run that captures nothing."""
    payloads: tuple[Payload, ...] = ()
    argv: tuple[str, ...] = ()
    """QEMU's arguments with ``{run}`` for the run directory, without the file descriptors of console, link and QMP."""
    budgets: Budgets
    tools: dict[str, str] = Field(default_factory=dict)
    """Versions of what goes into the guest: kexec-tools, busybox, the agent's hash."""

    def steps(self, kind: type[S]) -> Iterator[tuple[int, S]]:
        """The steps of a kind, each with the epoch in which it is done: 0 for boot, N for what kernel N does."""
        epoch = 0
        for step in self.scenario.steps:
            if isinstance(step, kind):
                yield epoch, step
            epoch += step.starts_next
