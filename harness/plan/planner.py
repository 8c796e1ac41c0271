"""A plan out of a scenario and what was prepared for it: pure, so that golden tests can hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError
from harness.evidence.tables.kinds import KINDS
from harness.firmware.agent_plan import FwCfgFile, fw_cfg_files
from harness.model.base import PAGE_BYTES
from harness.model.kernel import HypervisorImage, KernelImage
from harness.model.plan import (
    TPM_CHARDEV,
    Accel,
    AcpiPlan,
    Budgets,
    EpochPlan,
    FirmwareFiles,
    Payload,
    Plan,
    TablePlan,
)
from harness.model.scenario import Scenario
from harness.model.words.tables import TABLE_OFFSET, OneTable, PrivateRequest, TableName
from harness.subjects.kdump import plan as captureplan
from harness.subjects.memorymap.plan import memory_plan
from harness.subjects.registry import SUBJECTS
from harness.subjects.runtime import plan as runtimeplan
from harness.subjects.runtime.plan import RuntimeDriver
from harness.subjects.seams import optionrom
from harness.subjects.xen import plan as xenplan

COPIED_PAGES = 1
"""For a table of firmware, whose size is known only there (OVMF: some 1 KiB). Linux keeps no page without a table."""

# What every kernel of a run is told. nokaslr: two runs must be comparable, and kexec'ed kernels have no
# physical KASLR anyway. panic=0: a panic stays on screen and in memory (pvpanic and -action stop the machine).
NOKASLR = "nokaslr"
BASE_CMDLINE = ("console=ttyS0,115200", NOKASLR, "panic=0", "loglevel=7")

# Seconds on the reference host (2 cores, TCG): about ten times what was measured there, see docs/architecture.md.
_BUDGETS_S = {"firmware_s": 60.0, "boot_s": 150.0, "load_s": 90.0, "kexec_s": 180.0, "reply_s": 20.0}


@dataclass(frozen=True)
class InitrdFile:
    """An initrd that was built for one kernel and one padding."""

    path: Path
    size_bytes: int


@dataclass(frozen=True)
class Prepared:
    """Everything a plan needs that had to be looked up or made.

    ``kernels`` are those of the epochs, in order; ``initrds`` likewise.
    """

    kernels: Sequence[KernelImage]
    initrds: Sequence[InitrdFile]
    firmware: FirmwareFiles
    agent: Path
    qemu: Path
    qemu_version: str
    accel: Accel
    accel_reason: str
    factor: float
    """How much slower than the reference host this one is just now; at least 1."""
    tools: Mapping[str, str]
    swtpm: Path | None = None
    driver: RuntimeDriver | None = None
    """The runtime driver that belongs to the agent."""
    hypervisor: HypervisorImage | None = None


def make_plan(
    *,
    run_id: str,
    nonce: str,
    variant: str,
    scenario: Scenario,
    scenario_file: str,
    prepared: Prepared,
    command: tuple[str, ...] = (),
) -> Plan:
    """The complete plan of one run."""
    epochs = _epochs(scenario, prepared, nonce)
    if xenplan.tries_own_kernel(scenario):
        epochs = (epochs[0].model_copy(update=xenplan.OWN_SERIALS),)
    payloads = _payloads(epochs) or runtimeplan.disk(scenario, epochs[0])
    tables = tuple(_table_plan(table, nonce) for table in scenario.firmware.tables)
    bare = Plan(
        run_id=run_id,
        variant=variant,
        nonce=nonce,
        scenario=scenario,
        scenario_file=scenario_file,
        command=command,
        firmware=prepared.firmware,
        accel=prepared.accel,
        accel_reason=prepared.accel_reason,
        qemu=prepared.qemu,
        qemu_version=prepared.qemu_version,
        swtpm=prepared.swtpm,
        tables=tables,
        memory=memory_plan(scenario, nonce),
        runtime=runtimeplan.runtime_plan(scenario, prepared.driver, prepared.firmware),
        hypervisor=xenplan.hypervisor_plan(scenario, prepared.hypervisor, epochs[0]),
        watch=_watched(scenario),
        epochs=epochs,
        vmcore_disk_bytes=captureplan.disk_bytes(scenario),
        payloads=payloads,
        budgets=Budgets(**{name: round(seconds * prepared.factor, 1) for name, seconds in _BUDGETS_S.items()}),
        tools=dict(prepared.tools),
    )
    return bare.model_copy(update={"argv": _argv(bare, prepared.agent)})


def input_files(plan: Plan) -> dict[str, bytes]:
    """The files that the arguments name inside the run directory, but for the variable store."""
    files = {_file_name(file): file.content for file in fw_cfg_files(plan) if file.content is not None}
    return files | optionrom.files(plan.scenario.machine.option_roms)


def _file_name(file: FwCfgFile) -> str:
    return f"fw_cfg-{file.name.rpartition('/')[2]}"


def cmdline(scenario: Scenario, extra: Sequence[str], nonce: str, epoch: int) -> str:
    """The command line of one epoch's kernel."""
    on_xen = scenario.hypervisor is not None and epoch == 1
    base = (*xenplan.DOM0_CONSOLE, *BASE_CMDLINE[1:]) if on_xen else BASE_CMDLINE
    kept = [word for word in base if not (scenario.kaslr and word == NOKASLR)]
    return " ".join([*kept, *scenario.cmdline, *extra, f"harness.nonce={nonce}", f"harness.epoch={epoch}"])


def _epochs(scenario: Scenario, prepared: Prepared, nonce: str) -> tuple[EpochPlan, ...]:
    first = EpochPlan(
        number=1,
        kernel=prepared.kernels[0],
        cmdline=cmdline(scenario, runtimeplan.with_reboot(scenario, scenario.boot.cmdline, 1), nonce, 1),
        initrd=prepared.initrds[0].path,
        initrd_size_bytes=prepared.initrds[0].size_bytes,
    )
    serials: dict[Path, str] = {}

    def serial(prefix: str, path: Path) -> str:
        return serials.setdefault(path, f"{prefix}{len(serials)}")

    later = [
        EpochPlan(
            number=number,
            kernel=kernel,
            cmdline=cmdline(
                scenario, runtimeplan.with_reboot(scenario, captureplan.cmdline_of(options), number), nonce, number
            ),
            initrd=initrd.path,
            initrd_size_bytes=0 if options.without_initrd else initrd.size_bytes,
            without_initrd=options.without_initrd,
            syscall=options.syscall,
            kernel_serial=serial("kernel", kernel.image),
            initrd_serial="" if options.without_initrd else serial("initrd", initrd.path),
        )
        for number, (options, kernel, initrd) in enumerate(
            zip(scenario.following, prepared.kernels[1:], prepared.initrds[1:], strict=True), 2
        )
    ]
    return (first, *later)


def _payloads(epochs: Sequence[EpochPlan]) -> tuple[Payload, ...]:
    payloads: dict[str, Payload] = {}
    for epoch in (epoch for epoch in epochs if epoch.kernel_serial):
        payloads[epoch.kernel_serial] = Payload(
            serial=epoch.kernel_serial, path=epoch.kernel.image, size_bytes=epoch.kernel.size_bytes
        )
        if not epoch.without_initrd:
            payloads[epoch.initrd_serial] = Payload(
                serial=epoch.initrd_serial, path=epoch.initrd, size_bytes=epoch.initrd_size_bytes
            )
    return tuple(payloads.values())


def _table_plan(table: OneTable, nonce: str) -> TablePlan:
    kind, request = KINDS[table.name], table.request
    if kind.content is None and not kind.copied:
        raise InputError(f"the EFI agent cannot install a {kind.word}", hint=kind.how_to_have)
    content = b"" if kind.content is None else kind.content(request, nonce)
    return TablePlan(
        name=table.name,
        guid=request.guid if isinstance(request, PrivateRequest) else kind.guid,
        acpi=AcpiPlan(content_hex=kind.acpi.content.hex(), pointer=kind.acpi.offset) if kind.acpi else None,
        memory=request.memory,
        at=request.at,
        below=request.below,
        pages=COPIED_PAGES if kind.copied else -(-(TABLE_OFFSET + len(content)) // PAGE_BYTES),
        offset=TABLE_OFFSET,
        # The nonce in both halves: no two runs have the same canaries, and a stale page is recognised.
        canary_seed=int(nonce + nonce, 16) ^ 0x5A5A_A5A5_C3C3_3C3C,
        content_hex=content.hex(),
        copied=kind.copied,
        listed=request.listed,
    )


def _watched(scenario: Scenario) -> tuple[TableName, ...]:
    named = {name for subject in SUBJECTS for name in subject.watched(scenario)}
    return tuple(name for name in TableName if name in named)


def _argv(plan: Plan, agent: Path) -> tuple[str, ...]:
    """QEMU's arguments; ``{run}`` stands for the run directory."""
    machine = plan.scenario.machine
    # fmt: off
    argv = [
        str(plan.qemu),
        "-name", "harness",
        "-no-user-config", "-nodefaults", "-display", "none",
        # smm=off where the firmware build needs no SMM: TCG is faster without.
        "-machine", f"q35,smm={'on' if plan.firmware.smm else 'off'}",
        "-accel", plan.accel.value,
        "-cpu", xenplan.cpu(plan),
        "-m", f"{machine.memory // 2**20}M",
        "-smp", str(machine.cpus),
        # A guest that panics, resets or switches itself off stays there to be looked at; a clean exit status
        # of QEMU would say nothing (panic=-1 with -no-reboot exits 0).
        "-action", "panic=pause,reboot=shutdown,shutdown=pause",
        "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={_comma(plan.firmware.code)}",
        "-drive", "if=pflash,unit=1,format=raw,file={run}/vars.fd",
        "-device", "pvpanic",
        # QEMU's only word on a triple fault, which else looks like any other reset (target/i386, not under KVM).
        "-d", "cpu_reset",
        "-kernel", str(agent),
    ]
    # fmt: on
    if plan.firmware.smm:
        argv += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
    for file in fw_cfg_files(plan):
        path = file.path or Path("{run}", _file_name(file))
        argv += ["-fw_cfg", f"name={file.name},file={_comma(path)}"]
    if machine.vga:
        # romfile= : the option ROM would become SETUP_PCI setup_data, which splits System RAM below the BGRT and
        # hides the bug from kernels <= 6.7.
        argv += ["-device", "VGA,romfile="]
    argv += optionrom.arguments(machine.option_roms)
    if machine.tpm is not None:
        argv += ["-tpmdev", f"emulator,id=tpm0,chardev={TPM_CHARDEV}", "-device", f"tpm-{machine.tpm},tpmdev=tpm0"]
    for payload in plan.payloads:
        node = f"{payload.serial}-file"
        argv += ["-drive", f"if=none,id={node},format=raw,readonly=on,file={_comma(payload.path)}"]
        argv += ["-device", f"virtio-blk-pci,drive={node},serial={payload.serial}"]
    argv += xenplan.drive(plan)
    argv += captureplan.drive(plan.vmcore_disk_bytes)
    return tuple(argv)


def _comma(path: Path) -> str:
    """A path inside a QEMU option: commas are doubled."""
    return str(path).replace(",", ",,")
