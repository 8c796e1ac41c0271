"""The EFI agent's part of a plan, as the agent reads it (docs/link-protocol.md). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from harness.errors import InputError
from harness.model.page import PAGE_BYTES
from harness.model.plan import FirmwareFiles, Plan, TablePlan
from harness.model.words.driver import FirmwareArch, RuntimePlan
from harness.model.words.memorymap import MemoryPlan, RangePlan

PREFIX = "opt/harness/"
"""User files of fw_cfg go below ``opt/`` (docs/specs/fw_cfg.rst of QEMU)."""
XEN_FILE = "\\xen.efi"
"""On the file system that the planner makes for a hypervisor."""
MAX_PLAN_BYTES = 65536
"""What the agent takes (harness/firmware/agent/plan.c)."""
MAX_CMDLINE_BYTES = 4096
"""What the agent takes; x86 kernels cut at 2048 (COMMAND_LINE_SIZE)."""


@dataclass(frozen=True)
class FwCfgFile:
    """One file for QEMU's ``-fw_cfg name=NAME,file=...``: either a file on disk or contents still to be written."""

    name: str
    path: Path | None = None
    content: bytes | None = None


def agent_plan(plan: Plan) -> str:
    """The text of ``opt/harness/plan``.

    Raises:
        InputError: the agent would refuse it; said here, before anything is started.
    """
    memory = plan.memory or MemoryPlan()
    _disjoint(plan.tables, memory)
    tables = [_table(table, number) for number, table in enumerate(plan.tables)]
    runtime = [_runtime(plan.runtime, plan.firmware)] if plan.runtime is not None else []
    ranges = [_range(item) for item in memory.ranges]
    boot = f"boot kernel={PREFIX}kernel initrd={PREFIX}initrd cmdline={PREFIX}cmdline"
    if plan.hypervisor is not None:
        boot = f"boot file={XEN_FILE} cmdline={PREFIX}cmdline"
    if memory.kernel_at is not None:
        boot += f" at={memory.kernel_at:#x}"
    text = "\n".join(["HARNESS-PLAN 1", f"nonce {plan.nonce}", *tables, *ranges, *runtime, boot]) + "\n"
    if len(text) > MAX_PLAN_BYTES:
        raise InputError(
            f"the EFI agent's plan has {len(text)} bytes", hint=f"it takes {MAX_PLAN_BYTES}: ask for fewer ranges"
        )
    return text


def fw_cfg_files(plan: Plan) -> tuple[FwCfgFile, ...]:
    """Every fw_cfg file the agent reads, the plan first.

    Raises:
        InputError: as :func:`agent_plan`; or the command line cannot be handed over.
    """
    return (
        FwCfgFile(f"{PREFIX}plan", content=agent_plan(plan).encode("ascii")),
        *(
            FwCfgFile(f"{PREFIX}table{number}", content=bytes.fromhex(table.content_hex))
            for number, table in enumerate(plan.tables)
            if not table.copied
        ),
        *(
            FwCfgFile(f"{PREFIX}acpi{number}", content=bytes.fromhex(table.acpi.content_hex))
            for number, table in enumerate(plan.tables)
            if table.acpi is not None
        ),
        *((FwCfgFile(f"{PREFIX}driver", path=plan.runtime.driver),) if plan.runtime is not None else ()),
        *_boot_files(plan),
    )


def _boot_files(plan: Plan) -> tuple[FwCfgFile, ...]:
    """What is started; a hypervisor reads all but its load options from a file system."""
    first = plan.epochs[0]
    if plan.hypervisor is not None:
        return (FwCfgFile(f"{PREFIX}cmdline", content=_cmdline(plan.hypervisor.load_options)),)
    return (
        FwCfgFile(f"{PREFIX}kernel", path=first.kernel.image),
        FwCfgFile(f"{PREFIX}initrd", path=first.initrd),
        FwCfgFile(f"{PREFIX}cmdline", content=_cmdline(first.cmdline)),
    )


def _disjoint(tables: Sequence[TablePlan], memory: MemoryPlan) -> None:
    """What is asked for at an exact place does not overlap; for ranges alone the scenario has seen to that."""
    wanted = [
        (table.at, table.at + table.pages * PAGE_BYTES, f"table {table.name}")
        for table in tables
        if table.at is not None
    ]
    wanted += [(item.at, item.at + item.size_bytes, f"the {item.type} range") for item in memory.ranges if not item.fit]
    for (start, end, what), (next_start, next_end, other) in pairwise(sorted(wanted)):
        if next_start < end:
            raise InputError(
                f"{what} at {start:#x}-{end - 1:#x} and {other} at {next_start:#x}-{next_end - 1:#x} overlap",
                hint="place one of them elsewhere (firmware.tables, firmware.memory.ranges)",
            )


def _table(table: TablePlan, number: int) -> str:
    if (table.at is None) == (table.below is None):
        raise InputError(f"table {table.name}: say either 'at' or 'below'")
    size_bytes = len(table.content_hex) // 2
    room_bytes = table.pages * PAGE_BYTES - table.offset
    if not table.copied and not 0 < size_bytes <= room_bytes:
        raise InputError(
            f"table {table.name}: {size_bytes} bytes do not fit at offset 0x{table.offset:x} of {table.pages} pages",
            hint=f"from 1 to {max(room_bytes, 0)} bytes fit there",
        )
    place = f"below=0x{table.below:x}" if table.at is None else f"at=0x{table.at:x}"
    key = f"guid={table.guid}"
    if table.acpi is not None:
        key = f"acpi={PREFIX}acpi{number} pointer={table.acpi.pointer}"
    content = f"copy={table.name}" if table.copied else f"content={PREFIX}table{number}"
    listed = "" if table.listed else " listed=no"
    return (
        f"table name={table.name} {key} type={table.memory.number} pages={table.pages}"
        f" offset=0x{table.offset:x} canary=0x{table.canary_seed:016x} {place}{listed} {content}"
    )


def _range(item: RangePlan) -> str:
    number = item.type.number
    line = f"range at={item.at:#x} pages={item.size_bytes // PAGE_BYTES} type={'hole' if number is None else number}"
    if item.canary_seed is not None:
        line += f" canary=0x{item.canary_seed:016x}"
    return line + " hook=yes" * item.hook + " fit=yes" * item.fit


def _runtime(runtime: RuntimePlan, firmware: FirmwareFiles) -> str:
    for service, fault in runtime.armed.items():
        if firmware.arch is FirmwareArch.IA32 and not fault.on_ia32:
            raise InputError(
                f"{service} cannot be armed with {fault}: 32-bit firmware cannot commit it",
                hint="choose another fault, or 64-bit firmware",
            )
    line = f"runtime driver={PREFIX}driver hooks={','.join(runtime.hooks)} memattr={runtime.memattr}"
    armed = ",".join(f"{service}:{fault}" for service, fault in runtime.armed.items())
    return f"{line} arm={armed}" if armed else line


def _cmdline(text: str) -> bytes:
    """LoadOptions are UCS-2 and the frames are lines, so only printable ASCII comes through unchanged."""
    wrong = next((c for c in text if not " " <= c <= "~"), None)
    if wrong is not None:
        raise InputError(
            f"the kernel command line contains {wrong!r}", hint="only printable ASCII characters can be handed over"
        )
    if not 0 < len(text) <= MAX_CMDLINE_BYTES:
        raise InputError(
            f"the kernel command line has {len(text)} characters", hint=f"allowed are 1 to {MAX_CMDLINE_BYTES}"
        )
    return text.encode("ascii")
