"""Calls of firmware by the guest, and the page tables that they ran on."""

from __future__ import annotations

from harness.evidence import logbook, pagetables
from harness.evidence.defect import Defect
from harness.evidence.logbook import LOGBOOK_BYTES, ServiceLog
from harness.evidence.ranges import PAGE_BYTES, Range
from harness.machine.frame import Frame
from harness.model.pagetables import StressOptions
from harness.model.record import Point, SampleEntry
from harness.model.runtime import Service
from harness.stage.stage import Stage

_CALLS_A_REPLY = 20
"""Of the stress calls in the time that any other reply may take: each is two calls of firmware, variables and all."""


def look(stage: Stage) -> None:
    """Have firmware called once; then read, all at one moment, the driver's logbook and the tables it names.

    What cannot be read becomes a note: whether that matters is for the checks.

    Raises:
        EndedError: the guest did not answer, or the run ended.
    """
    stage.command(pagetables.SAMPLE)
    stage.wait(pagetables.SAMPLE, stage.plan.budgets.reply_s)
    with stage.machine.memory.stopped():
        called = _read_logbook(stage)
        if called is None or not called.runtime_calls:
            stage.recorder.note("page tables: no call of the kernel is in the runtime driver's logbook")
            return
        capture = pagetables.take(stage.machine.memory.read, called.cr3, called.cr4)
    _keep(stage, pagetables.SAMPLE, Range.sized(called.page_table, PAGE_BYTES), pagetables.encode(capture))


def stress(stage: Stage, options: StressOptions) -> None:
    """Have firmware called many times beside processes that use its addresses; the logbook is read before and after.

    Raises:
        EndedError: the guest did not answer, or the run ended.
    """
    _read_logbook(stage)
    stage.command("stress", {"calls": str(options.calls), "loaders": str(options.loaders)})
    stage.wait("stress", stage.plan.budgets.reply_s * (1 + options.calls // _CALLS_A_REPLY))
    _read_logbook(stage)


def _read_logbook(stage: Stage) -> ServiceLog | None:
    """What the hook of SetVariable has seen so far; the page is kept as a sample."""
    frames = (item.data for item in stage.machine.feed.since() if isinstance(item.data, Frame))
    frame = next((frame for frame in frames if frame.kind == "runtime"), None)
    if frame is None:
        return None
    address = int(frame.fields["logbook_address"], 0)
    data = stage.machine.memory.read(address, LOGBOOK_BYTES)
    _keep(stage, pagetables.LOGBOOK_SAMPLE, Range.sized(address, LOGBOOK_BYTES), data)
    book = logbook.parse(data)
    return None if isinstance(book, Defect) else book.services[Service.SET_VARIABLE]


def _keep(stage: Stage, subject: str, where: Range, data: bytes) -> None:
    t_s = stage.writer.now_s()
    label = f"{stage.recorder.epoch}-{Point.CALLED}-{subject}-{t_s:.4f}"  # there may be several in an epoch
    file, sha256 = stage.writer.sample(label, data)
    entry = SampleEntry(
        t_s=t_s,
        epoch=stage.recorder.epoch,
        point=Point.CALLED,
        subject=subject,
        pages_address=where.start,
        pages_size_bytes=len(data),
        table_address=where.start,
        table_size_bytes=where.size_bytes,
        file=file,
        sha256=sha256,
    )
    stage.writer.append(entry)
