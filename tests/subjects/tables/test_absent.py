"""A table that is not there, or that nobody looked for."""

from __future__ import annotations

from collections.abc import Callable

from support.records import Copy
from support.verdicts import verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED


def test_no_table_without_a_reason(copy_of: CopyOf, told: Told) -> None:
    """UNSUPPORTED needs its reason; a sample that went missing is no missing table."""
    verdict = copy_of("esrt-no-table").drop(type="note").judge()
    verdict_is(told(verdict), ERROR, Cause.MISSING_REPORT, 1)


def test_no_table_without_systab(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of("esrt-no-table").drop(kind="systab").judge()
    verdict_is(told(verdict), ERROR, Cause.MISSING_REPORT, 1)
