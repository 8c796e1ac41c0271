"""The row of EFI tables: are they where and what firmware handed over?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from harness.evidence.tables.kinds import KINDS, TPM_TABLES, corrupt
from harness.model.causes import Cause
from harness.model.kernel import Capability, KernelImage
from harness.model.names import TpmInterface
from harness.model.scenario import Scenario
from harness.model.words.tables import KexecWouldOverlap, NoRamdisk, TableIntact, TableName
from harness.subjects.claims import Always, Rule, Subject
from harness.subjects.tables.overlap import check_overlap
from harness.subjects.tables.ramdisk import check_ramdisk
from harness.subjects.tables.table import check_table
from harness.subjects.tables.tpm import check_tpm


def _intact(item: TableIntact) -> Iterator[Rule]:
    yield f"table_intact: {item.table_intact}", partial(check_table, name=item.table_intact)


def _overlap(item: KexecWouldOverlap) -> Iterator[Rule]:
    yield f"kexec_would_overlap: {item.kexec_would_overlap}", partial(check_overlap, name=item.kexec_would_overlap)


def _needs(scenario: Scenario, kernels: Sequence[KernelImage]) -> Iterator[tuple[KernelImage, Capability]]:
    """A kernel shows the event log only when its driver has found the TPM."""
    tables = [item.table_intact for item in scenario.expect if isinstance(item, TableIntact)]
    driver = Capability.TPM_CRB if scenario.machine.tpm is TpmInterface.CRB else Capability.TPM_TIS
    for table in tables:
        capability = KINDS[table].capability
        for kernel in kernels:
            if capability is not None:
                yield kernel, capability
            if table in TPM_TABLES:
                yield kernel, driver


def _watched(scenario: Scenario) -> Iterator[TableName]:
    """What is installed is read back in any case: that is the proof that it was."""
    yield from (table.name for table in scenario.firmware.tables)
    for item in scenario.expect:
        match item:
            case TableIntact():
                yield item.table_intact
            case KexecWouldOverlap():
                yield item.kexec_would_overlap
            case NoRamdisk():
                yield TableName.INITRD


SUBJECT = Subject(
    name="tables",
    causes=(
        *map(corrupt, TableName),
        *(Cause.CANARY_DAMAGED, Cause.TABLE_REFUSED, Cause.STALE_INITRD, Cause.NO_TABLE, Cause.NO_OVERLAP),
    ),
    expectations={
        TableIntact: _intact,
        KexecWouldOverlap: _overlap,
        NoRamdisk: lambda _item: [("no_ramdisk", check_ramdisk)],
    },
    always=(Always(20, "tpm", check_tpm),),
    needs=_needs,
    watched=_watched,
    headline=("table_intact", "no_ramdisk"),
)
