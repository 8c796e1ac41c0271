"""Can this scenario be tested on these kernels at all? Decided before anything is started, in under a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.evidence.tables.kinds import KINDS, TPM_TABLES
from harness.model.expectations import SoftReservedExact, TableIntact
from harness.model.kdump import TRIGGERS
from harness.model.kernel import Capability, KernelImage
from harness.model.names import Syscall, TpmInterface
from harness.model.scenario import FAKE_MEM_PARAMETER, Scenario
from harness.model.steps import CaptureStep, CrashStep

_SYSCALL_NEEDS = {
    Syscall.FILE: (Capability.KEXEC_FILE_LOAD,),
    # kexec-tools takes the places for kexec_load from /sys/firmware/memmap (kexec/arch/i386/kexec-x86-common.c).
    Syscall.LOAD: (Capability.KEXEC_LOAD, Capability.FIRMWARE_MEMMAP),
}


@dataclass(frozen=True)
class Refusal:
    """Why a scenario cannot be tested on a kernel."""

    kernel: str
    capability: Capability
    reason: str


def needs(scenario: Scenario, kernels: Sequence[KernelImage]) -> Iterator[tuple[KernelImage, Capability]]:
    """What the scenario asks of each kernel; ``kernels`` are those of the epochs, in order."""
    if scenario.hypervisor is not None:
        yield kernels[0], Capability.XEN_DOM0
    yield from _fake_mem_needs(scenario, kernels)
    tables = [item.table_intact for item in scenario.expect if isinstance(item, TableIntact)]
    for kernel in kernels:
        yield kernel, Capability.EFI
        for table in tables:
            capability = KINDS[table].capability
            if capability is not None:
                yield kernel, capability
    yield from _tpm_needs(scenario, kernels)
    yield from _kdump_needs(scenario, kernels)
    for kernel, kexec in zip(kernels, scenario.following, strict=False):
        for capability in _SYSCALL_NEEDS[kexec.syscall]:
            yield kernel, capability


def _fake_mem_needs(scenario: Scenario, kernels: Sequence[KernelImage]) -> Iterator[tuple[KernelImage, Capability]]:
    lines = (scenario.boot.cmdline, *(kexec.cmdline for kexec in scenario.following))
    soft = any(isinstance(item, SoftReservedExact) for item in scenario.expect)
    for kernel, line in zip(kernels, lines, strict=True):
        if any(word.startswith(FAKE_MEM_PARAMETER) for word in (*scenario.cmdline, *line)):
            yield kernel, Capability.EFI_FAKE_MEMMAP
            if soft:
                yield kernel, Capability.EFI_SOFT_RESERVE


def _tpm_needs(scenario: Scenario, kernels: Sequence[KernelImage]) -> Iterator[tuple[KernelImage, Capability]]:
    """A kernel shows the event log only when its driver has found the TPM."""
    if any(isinstance(item, TableIntact) and item.table_intact in TPM_TABLES for item in scenario.expect):
        for kernel in kernels:
            yield kernel, Capability.TPM_CRB if scenario.machine.tpm is TpmInterface.CRB else Capability.TPM_TIS


def _kdump_needs(scenario: Scenario, kernels: Sequence[KernelImage]) -> Iterator[tuple[KernelImage, Capability]]:
    """The kernel before the last is crashed; the last one captures."""
    for step in scenario.steps:
        if isinstance(step, CrashStep):
            for capability in TRIGGERS[step.crash.by].needs:
                yield kernels[-2], capability
        elif isinstance(step, CaptureStep):
            yield kernels[-1], Capability.CRASH_DUMP


def refusal(scenario: Scenario, kernels: Sequence[KernelImage]) -> Refusal | None:
    """The first need that a kernel cannot meet, or None."""
    for kernel, capability in needs(scenario, kernels):
        decision = kernel.capabilities.get(capability)
        if decision is not None and not decision.possible:
            return Refusal(kernel.name, capability, decision.reason)
    return None
