"""What became of firmware's tables between firmware and dom0: from outside, and in dom0's own words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from harness.evidence import crash, xen
from harness.evidence.crash import Severity
from harness.evidence.ranges import Range
from harness.evidence.tables.kinds import KINDS
from harness.model.causes import Cause, Status
from harness.model.record import Point, SampleEntry
from harness.model.verdict import Check, Evidence
from harness.model.words.tables import TableName
from harness.model.words.xen import XenOutcome, XenTableOptions
from harness.record.observations import Baseline, Observations
from harness.subjects.common import judged, missing
from harness.subjects.tables import inside
from harness.subjects.tables.absent import check_absent
from harness.subjects.vitals.crash import quoted
from harness.subjects.xen.bgrt import check_xen_bgrt
from harness.subjects.xen.history import content, history, when
from harness.subjects.xen.view import CONFIG_TABLES, XenView, copy_of

_RULE = "c0fecaa44dc3 (v6.3): under Xen a table is used only where it lies in memory that Xen keeps."


@dataclass(frozen=True)
class Fate:
    """One table: as firmware left it, and where the configuration table says in the end that it is."""

    view: XenView
    baseline: Baseline
    address: int
    listed: xen.Listed | None
    """dom0's word about it."""
    title: str

    @property
    def where(self) -> Range:
        return Range.sized(self.address, self.baseline.table.size_bytes)

    @property
    def moved(self) -> bool:
        return self.address != self.baseline.table.start

    @property
    def kept(self) -> bool:
        return self.view.kept(self.where)

    @property
    def word(self) -> str:
        return self.baseline.title

    def check(self, cause: Cause | None, summary: str, evidence: tuple[Evidence, ...], hint: str = "") -> Check:
        epoch = None if cause is None else 1
        facts = (*evidence, *self.facts())
        return judged(self.title, cause, summary, epoch=epoch, evidence=facts, hint=hint)

    def facts(self) -> Iterator[Evidence]:
        """Where the table was and is, and what dom0 says of it."""
        start = self.baseline.table.start
        yield Evidence(
            text=f"firmware left it at {start:#x}; the configuration table now has it at {self.address:#x}, "
            f"{self.view.types(self.where)} in Xen's EFI memory map",
            where=getattr(self.view.last(CONFIG_TABLES), "file", ""),
        )
        yield from history(self.view, self.baseline)
        if self.listed is not None:
            yield named(self.listed)


def named(item: xen.Listed) -> Evidence:
    """dom0's word about a table, to be cited."""
    unusable = "" if item.usable else " unusable"
    text = f"dom0 says: {item.name}={item.address:#x}{unusable}"
    return Evidence(text=text, where=f"console.log:{item.line.number}")


def check_xen_table(observations: Observations, options: XenTableOptions) -> Check:
    """One table has the fate that it should have, and dom0 takes it or leaves it as it should."""
    title = f"xen_table: {options.table} {options.outcome}"
    view = XenView(observations)
    baseline = observations.baselines.get(options.table)
    if baseline is None:
        return check_absent(observations, options.table, title)
    if options.table is TableName.BGRT:
        return check_xen_bgrt(view, baseline, options.outcome, title)
    address = view.pointer(baseline)
    lacking = _lacking(view, address, options.table)
    if lacking or address is None:
        return _missing(title, lacking)
    fate = Fate(view, baseline, address, view.named(options.table, address), title)
    return _unprotected(fate) or _OUTCOMES[options.outcome](fate)


def _lacking(view: XenView, address: int | None, table: TableName) -> str:
    """What the record lacks for any judgement; empty when there is enough."""
    if address is None:
        return "the configuration table was not sampled after the hand-off, or the table's GUID is not in it any more"
    if not view.efi_map:
        return "Xen's EFI memory map is not on the console (loglvl=all)"
    if not view.listed and KINDS[table].kernel_name:
        return "dom0 never named its configuration tables"
    return ""


def _missing(title: str, what: str) -> Check:
    return missing(title, what, hint="See the check of the run's end, and console.log.")


def _unprotected(fate: Fate) -> Check | None:
    """dom0 takes the table from memory that Xen does not keep."""
    if fate.listed is None or not fate.listed.usable or fate.kept:
        return None
    sample = _after(fate)
    now = content(fate.view, sample, fate.baseline) if sample is not None else None
    held = "" if now is None or now == fate.baseline.content else "; other bytes lie there by now"
    return fate.check(
        Cause.XEN_TABLE_UNPROTECTED,
        f"dom0 takes the {fate.word} at {fate.address:#x} from {fate.view.types(fate.where)}, which Xen does not "
        f"keep{held}",
        tuple(_acted_upon(fate)),
        _RULE,
    )


def _acted_upon(fate: Fate) -> Iterator[Evidence]:
    """What dom0 makes of what it reads there, when that is not what firmware wrote."""
    crashed = [item for item in crash.find(xen.dom0(fate.view.lines)) if item.severity is not Severity.WARNING]
    yield from quoted(crashed)
    if fate.view.observations.record.frame("up", 1) is not None:
        wrong = inside.check_inside(fate.view.observations, fate.baseline, fate.title)
        yield from (Evidence(text=f"what dom0 makes of it: {item.text}", where=item.where) for item in _first(wrong))


def _first(check: Check | None) -> tuple[Evidence, ...]:
    return check.evidence[:2] if check is not None and check.status is Status.FAIL else ()


def _after(fate: Fate) -> SampleEntry | None:
    return fate.view.last(copy_of(fate.baseline.name) if fate.moved else fate.baseline.name.value)


def _moved(fate: Fate) -> Check:
    copy = fate.view.last(copy_of(fate.baseline.name))
    if not fate.moved or not fate.kept:
        where = f"left the {fate.word} at {fate.address:#x}" if not fate.moved else f"moved it to {fate.address:#x}"
        return fate.check(Cause.XEN_TABLE_LOST, f"Xen {where}, in {fate.view.types(fate.where)}", ())
    if copy is None:
        return _missing(fate.title, f"the copy of the {fate.word} at {fate.address:#x} was never sampled")
    now, before = content(fate.view, copy, fate.baseline), fate.baseline.content
    if now != before:
        wrong = [index for index, (a, b) in enumerate(zip(before, now, strict=True)) if a != b]
        first, last = wrong[0], wrong[-1]
        text = (
            f"Xen's copy of the {fate.word} at {fate.address:#x} is not what firmware wrote: bytes {first:#x} to "
            f"{last:#x} of {len(before):#x} differ"
        )
        change = f"{before[first : first + 16].hex(' ')} became {now[first : first + 16].hex(' ')}"
        return fate.check(Cause.XEN_TABLE_LOST, text, (Evidence(text=change, where=copy.file),))
    how = f"Xen moved the {fate.word} from {fate.baseline.table.start:#x} to {fate.address:#x}"
    return _taken(fate, f"{how}, {fate.view.types(fate.where)}, where dom0 has it as firmware wrote it")


def _kept(fate: Fate) -> Check:
    if fate.moved or not fate.kept:
        text = f"the {fate.word} is at {fate.address:#x}, in {fate.view.types(fate.where)}: Xen did not keep it"
        return fate.check(Cause.XEN_TABLE_LOST, text, ())
    samples = fate.view.observations.samples(fate.baseline.name)
    if not {Point.XEN, Point.DOM0} <= {sample.point for sample in samples}:
        return _missing(fate.title, f"the pages of the {fate.word} were not sampled at every border of Xen")
    for sample in samples:
        if fate.view.observations.record.sampled(sample) != fate.baseline.data:
            text = f"the pages of the {fate.word} at {fate.address:#x} were written to, seen {when(sample)}"
            return fate.check(Cause.XEN_TABLE_LOST, text, (Evidence(text="there", where=sample.file),))
    return _taken(fate, f"the {fate.word} stayed at {fate.address:#x}, {fate.view.types(fate.where)}, untouched")


def _taken(fate: Fate, summary: str) -> Check:
    """dom0 must use what is fit for use, and show it as it is; a table that no kernel knows is Xen's affair alone."""
    if not KINDS[fate.baseline.name].kernel_name:
        return fate.check(None, summary, ())
    if fate.view.observations.record.frame("up", 1) is None:
        return _missing(fate.title, f"{summary}; but dom0 never reported")
    if fate.listed is None or not fate.listed.usable:
        said = "does not name it" if fate.listed is None else "calls it unusable"
        text = f"the {fate.word} at {fate.address:#x} is intact, in memory that Xen keeps, but dom0 {said}"
        return fate.check(Cause.TABLE_REFUSED, text, ())
    wrong = inside.check_inside(fate.view.observations, fate.baseline, fate.title)
    if wrong is not None:
        return wrong.model_copy(update={"evidence": (*wrong.evidence, *fate.facts())})
    return fate.check(None, summary, tuple(inside.agreement(fate.view.observations, fate.baseline)))


def _refused(fate: Fate) -> Check:
    if fate.kept:
        text = f"the {fate.word} at {fate.address:#x} is in {fate.view.types(fate.where)}: there is nothing to refuse"
        return fate.check(Cause.SETUP_NOT_PROVED, text, ())
    if fate.listed is None:
        return _missing(fate.title, f"dom0 does not name the {fate.word}, so nothing shows that it refuses it")
    text = f"dom0 refuses the {fate.word} at {fate.address:#x}, in {fate.view.types(fate.where)}: unusable"
    return fate.check(None, text, ())


def _unread(fate: Fate) -> Check:
    if not fate.view.listed:
        return _missing(fate.title, "dom0 never named its configuration tables")
    if fate.listed is not None:
        text = f"dom0 knows the {fate.word}: {fate.listed.name}"
        return fate.check(Cause.TABLE_REFUSED, text, ())
    text = f"the {fate.word} at {fate.address:#x}, in {fate.view.types(fate.where)}, says nothing to dom0"
    return fate.check(None, text, ())


def _not_bgrt(fate: Fate) -> Check:
    text = f"the {fate.word} is no ACPI table: Xen cannot take an image out of it"
    return fate.check(Cause.SETUP_NOT_PROVED, text, ())


_OUTCOMES: Mapping[XenOutcome, Callable[[Fate], Check]] = {
    XenOutcome.MOVED: _moved,
    XenOutcome.KEPT: _kept,
    XenOutcome.REFUSED: _refused,
    XenOutcome.UNREAD: _unread,
    XenOutcome.INVALIDATED: _not_bgrt,
}
