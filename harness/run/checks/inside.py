"""What the running kernels say about a table: sysfs against the bytes, and their messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.evidence import bgrt, esrt, klog
from harness.evidence.defect import Defect
from harness.model.scenario import TableName
from harness.model.verdict import Cause, Check, Evidence, Status
from harness.run.observations import Baseline, Observations

_VERSION = re.compile(r"esrt: Unsupported ESRT version (?P<value>-?[0-9]{1,19})\.")
_FACT = {TableName.ESRT: "esrt", TableName.BGRT: "bgrt"}


def check_inside(observations: Observations, baseline: Baseline, title: str) -> Check | None:
    """The first epoch whose kernel does not show the (intact) table as it is; None when all do."""
    fact = _FACT.get(baseline.name)
    if fact is None:
        return None
    for epoch in observations.plan.epochs:
        text = observations.record.text(epoch.number, fact)
        if observations.record.frame("up", epoch.number) is None:
            return None
        if text is None:
            return Check(
                name=title,
                status=Status.ERROR,
                cause=Cause.MISSING_REPORT,
                summary=f"the guest of epoch {epoch.number} did not report what its kernel shows of the "
                f"{baseline.name.upper()}",
                epoch=epoch.number,
                hint="Look at the guest agent's frames in journal.jsonl.",
            )
        different = _differences(observations, baseline, epoch.number, text)
        if different:
            return Check(
                name=title,
                status=Status.FAIL,
                cause=Cause.TABLE_REFUSED,
                summary=f"the bytes of the {baseline.name.upper()} are intact, but the kernel of epoch "
                f"{epoch.number} does not show it as it is: {different[0]}",
                epoch=epoch.number,
                evidence=(
                    *(Evidence(text=item, where=_where(observations, epoch.number, fact)) for item in different[:5]),
                    *kernel_words(observations, baseline.name, epoch.number),
                ),
                hint="The kernel refused or misread an intact table; its messages say why.",
            )
    return None


def _differences(observations: Observations, baseline: Baseline, epoch: int, text: str) -> tuple[str, ...]:
    if baseline.name is TableName.ESRT:
        parsed = esrt.parse(baseline.content)
        if isinstance(parsed, Defect):
            return (f"firmware's own table is bad: {parsed}",)
        return esrt.differences(parsed, esrt.parse_sysfs(text))
    table = bgrt.parse(observations.record.fact(epoch, "acpi-bgrt") or b"")
    if isinstance(table, Defect):
        return (f"the ACPI table: {table}",)
    return bgrt.differences(table, baseline.content, bgrt.parse_sysfs(text))


def agreement(observations: Observations, baseline: Baseline) -> Iterator[Evidence]:
    """Evidence that sysfs agreed in every epoch; called when it did."""
    fact = _FACT.get(baseline.name)
    if fact is None:
        yield Evidence(text=f"no sysfs file shows the {baseline.name.upper()}; only its bytes were compared")
        return
    for epoch in observations.plan.epochs:
        yield Evidence(
            text=f"epoch {epoch.number}: sysfs shows the same values", where=_where(observations, epoch.number, fact)
        )


def kernel_words(observations: Observations, name: TableName, epoch: int) -> Iterator[Evidence]:
    """What the kernel of an epoch printed about a table."""
    for message in klog.table_messages(observations.epoch_lines(epoch)):
        if message.subject == name.value and message.tone is not klog.Tone.GOOD:
            yield Evidence(
                text=f"the kernel of epoch {epoch} says: {message.line.text.strip()}",
                where=f"console.log:{message.line.number}",
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


def _where(observations: Observations, epoch: int, fact: str) -> str:
    frame = observations.record.frame("fact", epoch, name=fact)
    return (frame.body_file if frame is not None else None) or "journal.jsonl"
