"""``no_ramdisk``: a kernel that was given no initrd takes none, whatever an old INITRD table says by now.

The EFI stub tells the kernel where the initrd is by a configuration table of two words, in EfiLoaderData that nobody
keeps. The table outlives a kexec, its memory does not; and x86 looks at it when the boot parameters name no initrd
(get_ramdisk_image() and get_ramdisk_size(), arch/x86/kernel/setup.c). 6e62d1c6f2c7 ("efi: Wipe INITRD config table from
memory after consumption", v6.19) zeroes the words once, before their memory is used for something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.evidence import klog
from harness.evidence.tables.kinds import KINDS
from harness.model.causes import Cause
from harness.model.plan import EpochPlan
from harness.model.record import Point, SampleEntry
from harness.model.verdict import Check, Evidence
from harness.model.words.tables import TableName
from harness.record.observations import Observations
from harness.subjects.common import judged

_NAME = "no_ramdisk"
_TAKEN = re.compile(r"RAMDISK: \[mem |Cannot find place for new RAMDISK|initrd extends beyond end of memory")
"""arch/x86/kernel/setup.c, reserve_initrd() and relocate_initrd(), on 5.10 to 7.3."""
NO_ROOT = "Unable to mount root fs"
"""init/do_mounts.c: where a kernel without a root file system ends, on 5.10 to 7.3."""


def check_ramdisk(observations: Observations) -> Check:
    """What the last kernel, of which only the console speaks, did for want of an initrd."""
    epoch = observations.plan.epochs[-1]
    lines = observations.epoch_lines(epoch.number)
    wrong = _not_that_kernel(epoch, lines)
    if wrong:
        return _check(epoch, Cause.MISSING_REPORT, wrong, hint="See the check of the run's end.")
    words = tuple(_words(observations))
    taken = [line for line in lines if _TAKEN.search(line.text)]
    if taken:
        text = (
            f"the kernel of epoch {epoch.number} was given no initrd and believes in one: {taken[0].text.strip()[:120]}"
        )
        hint = "It read the EFI stub's INITRD table of the first boot, whose memory belongs to somebody else by now."
        return _check(epoch, Cause.STALE_INITRD, text, evidence=(*_quoted(taken), *words), hint=hint)
    return _proves_nothing(observations, epoch, lines) or _check(
        epoch,
        None,
        f"the kernel of epoch {epoch.number} took no initrd, although its list of tables has INITRD",
        evidence=(*_quoted([line for line in lines if NO_ROOT in line.text]), *words),
    )


def _proves_nothing(observations: Observations, epoch: EpochPlan, lines: tuple[klog.Line, ...]) -> Check | None:
    """Why it says nothing that no initrd was taken; None when it does say something."""
    if not any(NO_ROOT in line.text for line in lines):
        text = f"the kernel of epoch {epoch.number} did not come to where it would mount its root"
        return _check(epoch, Cause.MISSING_REPORT, text, hint="See the check of the run's end.")
    tables = klog.config_tables(lines)
    if not tables or KINDS[TableName.INITRD].kernel_name not in tables[0]:
        text = f"the kernel of epoch {epoch.number} lists no INITRD table, so none could mislead it"
        hint = "Kernels before 6.1 know no such table on x86; with others, look at the console."
        return _check(epoch, Cause.NO_TABLE, text, hint=hint)
    before = _before_the_kexec(observations)
    if before is None:
        text = "the words of the INITRD table were not read before the kexec"
        return _check(epoch, Cause.MISSING_REPORT, text, hint="See the notes of the run.")
    if 0 in before:
        text = (
            f"the INITRD table said {before[1]:#x} bytes at {before[0]:#x} before the kexec, which no kernel takes for "
            "an initrd: the run proves nothing"
        )
        hint = "Run it again, or with another kernel: what lies there depends on what the first kernel does."
        return _check(epoch, Cause.NO_OVERLAP, text, evidence=tuple(_words(observations)), hint=hint)
    return None


def _check(
    epoch: EpochPlan,
    cause: Cause | None,
    summary: str,
    *,
    evidence: tuple[Evidence, ...] = (),
    hint: str = "",
) -> Check:
    return judged(_NAME, cause, summary, epoch=epoch.number, evidence=evidence, hint=hint)


def _not_that_kernel(epoch: EpochPlan, lines: tuple[klog.Line, ...]) -> str:
    """It cannot report, so its identity is what it printed: its release, and its own number on its command line."""
    if not any(banner.release == epoch.kernel.release for banner in klog.banners(lines)):
        return f"the kernel of epoch {epoch.number} printed no line 'Linux version {epoch.kernel.release}'"
    if not any("ommand line: " in line.text and f"harness.epoch={epoch.number}" in line.text for line in lines):
        return f"the kernel of epoch {epoch.number} did not print its command line with harness.epoch={epoch.number}"
    return ""


def _quoted(lines: list[klog.Line]) -> Iterator[Evidence]:
    for line in lines[:4]:
        yield Evidence(text=line.text.strip()[:200], where=f"console.log:{line.number}")


def _before_the_kexec(observations: Observations) -> tuple[int, int] | None:
    """The two words, base and size, just before the last kexec."""
    epoch = observations.plan.epochs[-1].number - 1
    for sample in observations.samples(TableName.INITRD):
        if (sample.epoch, sample.point) == (epoch, Point.LOADED):
            return _decoded(observations, sample)
    return None


def _decoded(observations: Observations, sample: SampleEntry) -> tuple[int, int]:
    data = observations.record.sampled(sample)
    table = data[sample.table_address - sample.pages_address :][: sample.table_size_bytes]
    return int.from_bytes(table[:8], "little"), int.from_bytes(table[8:16], "little")


def _words(observations: Observations) -> Iterator[Evidence]:
    """What the table's two words were at each moment when they were read from outside."""
    baseline = observations.baselines.get(TableName.INITRD)
    samples = () if baseline is None else (baseline.sample, *observations.samples(TableName.INITRD))
    for sample in samples:
        base, size_bytes = _decoded(observations, sample)
        text = f"the INITRD table at {sample.table_address:#x} says {size_bytes:#x} bytes at {base:#x}, {_when(sample)}"
        yield Evidence(text=text, where=sample.file)


def _when(sample: SampleEntry) -> str:
    return {
        Point.HANDOFF: "at the hand-off",
        Point.UP: f"when the kernel of epoch {sample.epoch} was up",
        Point.LOADED: "just before the kexec",
    }.get(sample.point, "at the end of the run")
