"""The page tables of one epoch out of a record, and the proof that they are those that firmware ran on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from harness.evidence import logbook
from harness.evidence.defect import Defect
from harness.evidence.logbook import Logbook, ServiceLog
from harness.evidence.maps import efimap
from harness.evidence.pagetable import pagetables, ptdump
from harness.evidence.pagetable import walk as paging
from harness.evidence.pagetable.pagetables import Capture
from harness.evidence.pagetable.ptdump import Comparison
from harness.evidence.pagetable.walk import Leaf, Run
from harness.evidence.ranges import Range
from harness.model.causes import Cause
from harness.model.plan import EpochPlan
from harness.model.record import FrameEntry, SampleEntry
from harness.model.verdict import Evidence
from harness.model.words.driver import Service
from harness.record.observations import Observations
from harness.subjects.common import Unusable


@dataclass(frozen=True)
class View:
    """What one epoch's firmware calls ran on."""

    epoch: int
    capture: Capture
    leaves: tuple[Leaf, ...]
    """Every page of EFI's ranges."""
    call: ServiceLog
    hook_physical: int
    """Where the tables lead from the address that the hook ran at: the driver's own memory."""
    sample: SampleEntry
    regions: tuple[efimap.EfiRegion, ...]
    """Firmware's memory map."""
    compared: Comparison | None
    """With the kernel's own dump; None where it has none."""
    reported_in: str
    """The file of that dump, or of the report that there is none."""

    @cached_property
    def low(self) -> tuple[Leaf, ...]:
        """The 1:1 mappings."""
        return tuple(leaf for leaf in self.leaves if leaf.range.overlaps(self.capture.ranges[0]))

    def describe(self, run: Run) -> str:
        """A run of pages with what firmware's map says of the memory behind it."""
        physical = Range.sized(run.leaves[0].physical, run.range.size_bytes)
        names = dict.fromkeys(region.type_name for region in efimap.at(self.regions, physical))
        return f"epoch {self.epoch}: {run} ({', '.join(names) or 'not in the EFI memory map'})"

    def proof(self) -> Evidence:
        """Whose tables these are."""
        levels = 5 if self.capture.la57 else 4
        text = (
            f"epoch {self.epoch}: SetVariable ran with CR3 {self.capture.cr3:#x}; {levels}-level tables there map "
            f"{len(self.low)} pages 1:1 and {len(self.leaves) - len(self.low)} in the EFI window, the hook's own code "
            f"{self.call.address:#x} to {self.hook_physical:#x} among them"
        )
        return Evidence(text=text, where=self.sample.file)

    def agreement(self) -> Evidence:
        """What the kernel says."""
        if self.compared is None:
            text = f"epoch {self.epoch}: this kernel has no page_tables/efi in debugfs to compare with"
        else:
            text = (
                f"epoch {self.epoch}: the kernel's own dump agrees, {self.compared.pages} pages against "
                f"{self.compared.rows} rows"
            )
        return Evidence(text=text, where=self.reported_in)


def look(observations: Observations, plan: EpochPlan) -> View | Unusable | None:
    """The tables of an epoch; None when the scenario does not look at them there."""
    epoch = plan.number
    if not any(entry.epoch == epoch and entry.name == pagetables.SAMPLE for entry in observations.record.commands):
        return None
    frame = observations.record.frame(pagetables.SAMPLE, epoch)
    if frame is None:
        return _unknown(epoch, Cause.MISSING_REPORT, f"the guest of epoch {epoch} did not say that it called firmware")
    if frame.fields.get("runtime") == "absent":
        text = f"{plan.kernel.name} offers no EFI variables in epoch {epoch}, so firmware is never called"
        hint = "Leave out efi=noruntime and noefi, and use a kernel with EFI runtime services and efivarfs."
        return Unusable(epoch, Cause.NO_CAPABILITY, text, hint)
    if frame.fields.get("rc") != "0":
        said = observations.record.body(frame).decode("utf-8", "backslashreplace").strip()
        text = (
            f"the write of a variable that calls firmware's SetVariable failed in epoch {epoch}: {said or 'no reason'}"
        )
        return _unknown(epoch, Cause.SETUP_NOT_PROVED, text)
    called = _call(observations, epoch)
    if isinstance(called, Unusable):
        return called
    book, call = called
    return _tables(observations, epoch, book, call, frame)


def _call(observations: Observations, epoch: int) -> tuple[Logbook, ServiceLog] | Unusable:
    """What the driver's hook saw in this epoch's call."""
    sample = _logbook_of(observations, epoch)
    if sample is None:
        return _unknown(epoch, Cause.SETUP_NOT_PROVED, f"the driver's logbook was not read in epoch {epoch}")
    book = logbook.parse(observations.record.sampled(sample))
    if isinstance(book, Defect):
        return _unknown(epoch, Cause.SETUP_NOT_PROVED, f"epoch {epoch}: {book}")
    call = book.services[Service.SET_VARIABLE]
    if book.nonce != observations.plan.nonce or not call.hooked or not call.runtime_calls:
        text = f"no call of SetVariable by the kernel is in the driver's logbook of epoch {epoch}"
        return _unknown(epoch, Cause.SETUP_NOT_PROVED, text)
    return book, call


def _tables(
    observations: Observations, epoch: int, book: Logbook, call: ServiceLog, frame: FrameEntry
) -> View | Unusable:
    sample = _sample(observations, epoch, pagetables.SAMPLE)
    if sample is None:
        return _unknown(epoch, Cause.SETUP_NOT_PROVED, f"the page tables of epoch {epoch} were not read")
    capture = pagetables.decode(observations.record.sampled(sample))
    leaves = capture if isinstance(capture, Defect) else capture.leaves()
    if isinstance(capture, Defect) or isinstance(leaves, Defect):
        return _unknown(epoch, Cause.SETUP_NOT_PROVED, f"epoch {epoch}: {leaves}")
    hook = _hook(capture, book, call)
    compared = hook if isinstance(hook, Defect) else _compared(observations, epoch, capture, leaves)
    if isinstance(hook, Defect) or isinstance(compared, Defect):
        return _unknown(epoch, Cause.SETUP_NOT_PROVED, f"epoch {epoch}: {compared}")
    where = observations.cited(frame)
    return View(epoch, capture, leaves, call, hook, sample, observations.efi_map, compared, where)


def _hook(capture: Capture, book: Logbook, call: ServiceLog) -> int | Defect:
    """Where the tables lead from the address that the hook ran at; a Defect when that is not the driver's memory: then
    they are not the tables that firmware ran on."""
    if capture.cr3 & paging.ADDRESS_MASK != call.page_table:
        return Defect(f"the tables that were read begin at {capture.cr3:#x}, but the call ran on {call.cr3:#x}")
    hook = paging.translate(capture.read, capture.cr3, call.address, la57=capture.la57)
    if isinstance(hook, Defect):
        return Defect(f"the hook's own address {hook}")
    offset = call.address - book.image.used
    if not 0 <= offset < book.image.size_bytes or hook.physical != book.image.address + offset:
        return Defect(f"the tables lead from the hook at {call.address:#x} to {hook.physical:#x}, outside the driver")
    return hook.physical


def _compared(
    observations: Observations, epoch: int, capture: Capture, leaves: tuple[Leaf, ...]
) -> Comparison | Defect | None:
    """With the dump of debugfs, of the same moment: the guest stands still between the two."""
    text = observations.record.body(observations.record.frame(pagetables.SAMPLE, epoch)).decode("ascii", "replace")
    if not text.strip():
        return None
    dump = ptdump.parse(text)
    return dump if isinstance(dump, Defect) else ptdump.compare(leaves, dump, capture.ranges)


def _logbook_of(observations: Observations, epoch: int) -> SampleEntry | None:
    """The logbook that was read at the same moment as the tables: the last before them. Other steps read it as well."""
    samples, tables = observations.record.samples, _sample(observations, epoch, pagetables.SAMPLE)
    before = samples[: samples.index(tables)] if tables is not None else samples
    return next((item for item in reversed(before) if (item.epoch, item.subject) == (epoch, logbook.SAMPLE)), None)


def _sample(observations: Observations, epoch: int, subject: str) -> SampleEntry | None:
    """The last one of an epoch."""
    found = [item for item in observations.record.samples if item.epoch == epoch and item.subject == subject]
    return found[-1] if found else None


def _unknown(epoch: int, cause: Cause, text: str) -> Unusable:
    hint = "Look at the epoch's page-tables frame and samples in journal.jsonl."
    return Unusable(epoch, cause, text, hint)
