"""The row of kexec: one kernel loads and starts the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.model.causes import Cause
from harness.model.kernel import Capability, KernelImage
from harness.model.scenario import Scenario
from harness.model.words.kexec import KexecStep, Syscall
from harness.subjects.claims import Subject

_SYSCALL_NEEDS = {
    Syscall.FILE: (Capability.KEXEC_FILE_LOAD,),
    # kexec-tools takes the places for kexec_load from /sys/firmware/memmap (kexec/arch/i386/kexec-x86-common.c).
    Syscall.LOAD: (Capability.KEXEC_LOAD, Capability.FIRMWARE_MEMMAP),
}


def _needs(scenario: Scenario, kernels: Sequence[KernelImage]) -> Iterator[tuple[KernelImage, Capability]]:
    for kernel, following in zip(kernels, scenario.following, strict=False):
        for capability in _SYSCALL_NEEDS[following.syscall]:
            yield kernel, capability


SUBJECT = Subject(
    name="kexec",
    causes=(Cause.KEXEC_LOAD_FAILED, Cause.KEXEC_RETURNED, Cause.PURGATORY_FAILED),
    steps=(KexecStep,),
    needs=_needs,
)
