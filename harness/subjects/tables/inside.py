"""What the running kernels say about a table: sysfs against the bytes, and their messages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.evidence import klog
from harness.evidence.tables.kinds import KINDS, put_aside
from harness.evidence.tables.shown import Shown
from harness.model.causes import Cause
from harness.model.plan import EpochPlan
from harness.model.verdict import Check, Evidence
from harness.model.words.tables import TableName
from harness.record.observations import Baseline, Observations
from harness.subjects.common import failed, missing

_VERSION = re.compile(r"esrt: Unsupported ESRT version (?P<value>-?[0-9]{1,19})\.")


def check_inside(observations: Observations, baseline: Baseline, title: str) -> Check | None:
    """The first epoch whose kernel does not show the (intact) table as it is; None when all that were up do."""
    inside = KINDS[baseline.name].inside
    if inside is None:
        return None
    for epoch in observations.plan.epochs:
        if observations.record.frame("up", epoch.number) is None:
            continue  # whether every epoch was up is the business of those who ask for all of them
        lacking = [name for name in inside.facts if observations.record.fact(epoch.number, name) is None]
        if lacking:
            return _not_reported(baseline, epoch.number, lacking, title)
        different = tuple(inside.differences(_shown(observations, baseline, epoch)))
        if different and _may_lack_it(observations, baseline, epoch, inside.facts[0]):
            return _lacks_it(baseline, epoch, title)
        if different:
            where = observations.where(epoch.number, inside.facts[0])
            said = [Evidence(text=item, where=where) for item in different]
            return _refused(observations, baseline, epoch.number, said, title)
    return None


def consequences(observations: Observations, baseline: Baseline, since: int) -> Iterator[tuple[str, str]]:
    """What the kernels from an epoch on show otherwise than the table said when it was whole, and where that stands."""
    inside = KINDS[baseline.name].inside
    for epoch in observations.plan.epochs[since - 1 :] if inside is not None and since >= 1 else ():
        if inside is None or any(observations.record.fact(epoch.number, name) is None for name in inside.facts):
            continue
        for text in inside.differences(_shown(observations, baseline, epoch)):
            yield f"in epoch {epoch.number}: {text}", observations.where(epoch.number, inside.facts[0])


def _not_reported(baseline: Baseline, epoch: int, lacking: Sequence[str], title: str) -> Check:
    return missing(
        title,
        f"the bytes of the {baseline.title} are intact, but the guest of epoch {epoch} did not report what its "
        f"kernel shows of it ({', '.join(lacking)})",
        epoch=epoch,
        hint="Look at the guest agent's frames in journal.jsonl.",
    )


def _may_lack_it(observations: Observations, baseline: Baseline, epoch: EpochPlan, fact: str) -> bool:
    """Nothing shows that this kernel was built to look at the table: no configuration, no message, no sysfs."""
    said = any(message.subject == baseline.name.value for message in _messages(observations, epoch.number))
    shown = (observations.record.text(epoch.number, fact) or "").strip() != "absent"
    return epoch.kernel.config is None and not said and not shown


def _lacks_it(baseline: Baseline, epoch: EpochPlan, title: str) -> Check:
    return failed(
        title,
        Cause.NO_CAPABILITY,
        f"the kernel of epoch {epoch.number} shows no {KINDS[baseline.name].word} and says nothing about it; "
        "its configuration is unknown, so it may be built without",
        epoch=epoch.number,
        hint="Put the kernel's .config beside its image, or give its .deb.",
    )


def _refused(
    observations: Observations, baseline: Baseline, epoch: int, different: Sequence[Evidence], title: str
) -> Check:
    return failed(
        title,
        Cause.TABLE_REFUSED,
        f"the bytes of the {baseline.title} are intact, but the kernel of epoch {epoch} does not show what "
        f"they say: {different[0].text}",
        epoch=epoch,
        evidence=(
            *different[:5],
            *kernel_words(observations, baseline.name, epoch),
        ),
        hint="The kernel refused or misread an intact table; its messages may say why.",
    )


def _shown(observations: Observations, baseline: Baseline, epoch: EpochPlan) -> Shown:
    return Shown(
        epoch=epoch.number,
        release=epoch.kernel.release,
        content=baseline.content,
        table=baseline.table,
        kernel_name=KINDS[baseline.name].kernel_name,
        fact=lambda name: observations.record.fact(epoch.number, name),
        lines=observations.epoch_lines(epoch.number),
    )


def agreement(observations: Observations, baseline: Baseline) -> Iterator[Evidence]:
    """Evidence that sysfs agreed in every epoch; called when it did."""
    kind = KINDS[baseline.name]
    if kind.inside is None:
        yield Evidence(text=kind.unseen.format(word=kind.word))
        return
    for epoch in observations.plan.epochs:
        yield Evidence(
            text=f"epoch {epoch.number}: {kind.inside.agrees}",
            where=observations.where(epoch.number, kind.inside.facts[0]),
        )


def kernel_words(observations: Observations, name: TableName, epoch: int) -> Iterator[Evidence]:
    """What the kernel of an epoch printed about a table."""
    for message in _messages(observations, epoch):
        if message.subject == name.value and message.tone is not klog.Tone.GOOD:
            yield Evidence(
                text=f"the kernel of epoch {epoch} says: {message.line.text.strip()}",
                where=f"console.log:{message.line.number}",
            )
    if name is TableName.MEMATTR:
        yield from _memattr_ignored(observations, epoch)


def _memattr_ignored(observations: Observations, epoch: int) -> Iterator[Evidence]:
    """A kexec'ed kernel from v6.14 on (64b45dd46e15) does not use the table, so that its loss does no harm."""
    dropped = put_aside(TableName.MEMATTR)
    for line in observations.epoch_lines(epoch):
        if dropped in line.text:
            yield Evidence(
                text=f"the kernel of epoch {epoch} ignores the table after a kexec, as designed ({dropped})",
                where=f"console.log:{line.number}",
            )


@dataclass(frozen=True)
class PrintedVersion:
    """The ``fw_resource_version`` that a kernel found wrong: 8 bytes of the table as they were at that moment."""

    value: int
    """As printed: signed, though the field is unsigned (%lld in drivers/firmware/efi/esrt.c)."""
    line_number: int


def printed_version(observations: Observations, baseline: Baseline, epoch: int) -> PrintedVersion | None:
    """What the kernel of an epoch printed of an ESRT it refused for its version."""
    if baseline.name is not TableName.ESRT:
        return None
    for line in observations.epoch_lines(epoch):
        match = _VERSION.search(line.text)
        if match is not None:
            return PrintedVersion(int(match["value"]), line.number)
    return None


def _messages(observations: Observations, epoch: int) -> tuple[klog.TableMessage, ...]:
    return klog.table_messages(observations.epoch_lines(epoch))
