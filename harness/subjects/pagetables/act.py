"""Calls of firmware by the guest, and the page tables that they ran on."""

from __future__ import annotations

from harness.evidence.logbook import Logbook
from harness.evidence.pagetable import pagetables
from harness.evidence.ranges import PAGE_BYTES, Range
from harness.model.words.driver import Service
from harness.model.words.pagetables import PageTablesStep, StressStep
from harness.stage.logbook import read_logbook
from harness.stage.samples import keep
from harness.stage.stage import Stage

_CALLS_A_REPLY = 20
"""Of the stress calls in the time that any other reply may take: each is two calls of firmware, variables and all."""


def look(stage: Stage, _step: PageTablesStep, _epoch: int) -> None:
    """Have firmware called once; then read, all at one moment, the driver's logbook and the tables it names.

    What cannot be read becomes a note: whether that matters is for the checks.

    Raises:
        EndedError: the guest did not answer, or the run ended.
    """
    stage.command(pagetables.SAMPLE)
    stage.wait(pagetables.SAMPLE, stage.plan.budgets.reply_s)
    with stage.machine.memory.stopped():
        book = read_logbook(stage)
        called = book.services[Service.SET_VARIABLE] if isinstance(book, Logbook) else None
        if called is None or not called.runtime_calls:
            stage.recorder.note("page tables: no call of the kernel is in the runtime driver's logbook")
            return
        capture = pagetables.take(stage.machine.memory.read, called.cr3, called.cr4)
    data = pagetables.encode(capture)
    pages, table = Range.sized(called.page_table, len(data)), Range.sized(called.page_table, PAGE_BYTES)
    keep(stage.writer, stage.recorder.epoch, pagetables.SAMPLE, pages, data, table=table)


def stress(stage: Stage, step: StressStep, _epoch: int) -> None:
    """Have firmware called many times beside processes that use its addresses; the logbook is read before and after.

    Raises:
        EndedError: the guest did not answer, or the run ended.
    """
    options = step.stress
    read_logbook(stage)
    stage.command("stress", {"calls": str(options.calls), "loaders": str(options.loaders)})
    stage.wait("stress", stage.plan.budgets.reply_s * (1 + options.calls // _CALLS_A_REPLY))
    read_logbook(stage)


ACTS = {PageTablesStep: look, StressStep: stress}
