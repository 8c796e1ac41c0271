"""The row of the page tables that firmware runs on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from harness.model.causes import Cause
from harness.model.scenario import Scenario
from harness.model.words.pagetables import EfiPages, EfiPageTables, PageTablesStep, StressClean, StressStep
from harness.model.words.tables import TableName
from harness.subjects.claims import Rule, Subject
from harness.subjects.pagetables.pages import check_page_tables
from harness.subjects.pagetables.stress import check_stress


def _page_tables(item: EfiPageTables) -> Iterator[Rule]:
    yield f"efi_page_tables: {item.efi_page_tables}", partial(check_page_tables, level=item.efi_page_tables)


def _watched(scenario: Scenario) -> Iterator[TableName]:
    """wx-free is asked only while firmware's word on what need not be writable or executable is intact."""
    for item in scenario.expect:
        if isinstance(item, EfiPageTables) and item.efi_page_tables is EfiPages.WX_FREE:
            yield TableName.MEMATTR


SUBJECT = Subject(
    name="pagetables",
    causes=(Cause.EFI_PAGE_GLOBAL, Cause.EFI_PAGE_WX, Cause.EFI_STRESS),
    expectations={EfiPageTables: _page_tables, StressClean: lambda _item: [("stress", check_stress)]},
    steps=(PageTablesStep, StressStep),
    watched=_watched,
    headline=("efi_page_tables", "stress"),
)
