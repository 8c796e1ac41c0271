"""The row of ``efi_fake_mem=`` and soft reserved memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from harness.model.causes import Cause
from harness.model.kernel import Capability, KernelImage
from harness.model.scenario import Scenario
from harness.model.words.fakemem import FAKE_MEM_PARAMETER, FakeMemExact, SoftReservedExact
from harness.subjects.claims import Rule, Subject
from harness.subjects.fakemem.fakemem import check_fake_mem
from harness.subjects.fakemem.softreserved import check_soft_reserved


def _fake_mem(item: FakeMemExact) -> Iterator[Rule]:
    yield "fake_mem", partial(check_fake_mem, level=item.fake_mem)


def _soft_reserved(item: SoftReservedExact) -> Iterator[Rule]:
    yield "soft_reserved", partial(check_soft_reserved, level=item.soft_reserved)


def _needs(scenario: Scenario, kernels: Sequence[KernelImage]) -> Iterator[tuple[KernelImage, Capability]]:
    lines = (scenario.boot.cmdline, *(kexec.cmdline for kexec in scenario.following))
    soft = any(isinstance(item, SoftReservedExact) for item in scenario.expect)
    for kernel, line in zip(kernels, lines, strict=True):
        if any(word.startswith(FAKE_MEM_PARAMETER) for word in (*scenario.cmdline, *line)):
            yield kernel, Capability.EFI_FAKE_MEMMAP
            if soft:
                yield kernel, Capability.EFI_SOFT_RESERVE


SUBJECT = Subject(
    name="fakemem",
    causes=(
        *(Cause.FAKE_MEM_MISMATCH, Cause.SOFT_RESERVED_MISMATCH, Cause.SOFT_RESERVED_LOST),
        Cause.NO_PAGE_CROSSING,
    ),
    expectations={FakeMemExact: _fake_mem, SoftReservedExact: _soft_reserved},
    needs=_needs,
    headline=("fake_mem", "soft_reserved"),
)
