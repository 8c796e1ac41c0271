"""Is exactly that memory ``Soft Reserved`` that must be?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.evidence.faking import entries as fakemem
from harness.evidence.maps import e820, iomem
from harness.evidence.ranges import Range, merged, without
from harness.model.causes import Cause
from harness.model.plan import EpochPlan
from harness.model.verdict import Check, Evidence
from harness.model.words.fakemem import SoftReserved
from harness.record.observations import Observations
from harness.subjects.common import Unusable, failed, passed, unusable_check
from harness.subjects.fakemem.fakemem import faked_map, faking

_NAME = "soft_reserved"
_SOFT_RESERVED = e820.TYPE_NAMES[0xEFFFFFFF]


@dataclass(frozen=True)
class _Seen:
    """One epoch."""

    epoch: int
    wanted: tuple[Range, ...]
    shown: tuple[Range, ...]
    """The rows of /proc/iomem, sorted."""

    @property
    def exact(self) -> bool:
        """Row by row; where entries overlap, the kernel may cut them as it likes."""
        if sum(item.size_bytes for item in self.wanted) != sum(item.size_bytes for item in merged(self.wanted)):
            return merged(self.wanted) == merged(self.shown)
        return self.wanted == self.shown


def check_soft_reserved(observations: Observations, level: SoftReserved) -> Check:
    """/proc/iomem of every epoch, against its entries and the e820 table it was given."""
    seen: list[_Seen] = []
    for plan in observations.plan.epochs:
        found = _look(observations, plan)
        if isinstance(found, Unusable):
            return unusable_check(_NAME, found)
        if not found.exact:
            return _wrong(observations, found)
        seen.append(found)
    evidence = tuple(_evidence(observations, item) for item in seen)
    if not any(item.wanted for item in seen):
        text = "no entry marks conventional memory as EFI_MEMORY_SP, so there is nothing to be Soft Reserved"
        return unusable_check(_NAME, Unusable(1, Cause.SETUP_NOT_PROVED, text), evidence)
    if level is SoftReserved.KEPT:
        for before, after in pairwise(seen):
            gone = without(before.shown, after.shown)
            if gone:
                return _lost(observations, after, gone, evidence)
    rows = sum(len(item.shown) for item in seen)
    return passed(
        _NAME,
        f"{rows} Soft Reserved range{'s' if rows != 1 else ''} in /proc/iomem, exactly as computed",
        evidence=evidence,
    )


def _look(observations: Observations, plan: EpochPlan) -> _Seen | Unusable:
    resources = observations.iomem(plan.number)
    given = e820.parse_boot_params(observations.record.fact(plan.number, "boot-params") or b"")
    if not resources or not isinstance(given, tuple):
        text = f"/proc/iomem or boot_params of epoch {plan.number} was not reported"
        return Unusable(plan.number, Cause.MISSING_REPORT, text)
    wanted = [entry.range for entry in given if entry.type_name == _SOFT_RESERVED]
    if plan in faking(observations):
        found = faked_map(observations, plan)
        if isinstance(found, Unusable):
            return found
        wanted += fakemem.soft_reserved(found.before, found.entries)
    shown = sorted(row.range for row in resources if row.name == _SOFT_RESERVED)
    return _Seen(plan.number, tuple(sorted(wanted)), tuple(shown))


def _wrong(observations: Observations, found: _Seen) -> Check:
    missing, extra = without(found.wanted, found.shown), without(found.shown, found.wanted)
    said = [f"{item} is missing" for item in missing] + [f"{item} is too much" for item in extra]
    summary = "; ".join(said) or f"rows {_listed(found.shown)} instead of {_listed(found.wanted)}"
    return failed(
        _NAME,
        Cause.SOFT_RESERVED_MISMATCH,
        f"Soft Reserved in /proc/iomem of epoch {found.epoch} is wrong: {summary}",
        epoch=found.epoch,
        evidence=(
            *(_instead(observations, found.epoch, item) for item in missing),
            Evidence(text=f"computed: {_listed(found.wanted)}"),
            _evidence(observations, found),
        ),
        hint="Compare the console's e820 table with /proc/iomem.",
    )


def _lost(observations: Observations, found: _Seen, gone: Sequence[Range], evidence: Sequence[Evidence]) -> Check:
    call = next(plan.syscall for plan in observations.plan.epochs if plan.number == found.epoch)
    return failed(
        _NAME,
        Cause.SOFT_RESERVED_LOST,
        f"{_listed(gone)} is not Soft Reserved in epoch {found.epoch}, after kexec ({call}), as it was before",
        epoch=found.epoch,
        evidence=(*(_instead(observations, found.epoch, item) for item in gone), *evidence),
        hint="The next kernel knows only what its e820 table says; see the boot-params of that epoch.",
    )


def _instead(observations: Observations, epoch: int, where: Range) -> Evidence:
    rows = iomem.at(observations.iomem(epoch), where)
    names = ", ".join(dict.fromkeys(row.name for row in rows if row.depth == 0))
    text = f"epoch {epoch}: {where} is {names or 'not listed'} in /proc/iomem"
    return Evidence(text=text, where=observations.where(epoch, "iomem"))


def _evidence(observations: Observations, found: _Seen) -> Evidence:
    text = f"epoch {found.epoch}: Soft Reserved in /proc/iomem: {_listed(found.shown)}"
    return Evidence(text=text, where=observations.where(found.epoch, "iomem"))


def _listed(ranges: Sequence[Range]) -> str:
    return ", ".join(map(str, ranges)) or "nothing"
