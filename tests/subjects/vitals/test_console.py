"""A console that lacks what the kernel logged."""

from __future__ import annotations

from collections.abc import Callable

from support.damage import PASSED
from support.records import Copy
from support.verdicts import check_of, verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED


def test_silent_epoch(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(PASSED)
    entries = copy.entries
    ends = [entry["console_offset"] for entry in entries if entry["type"] == "phase" and entry["epoch"] == 2]
    console = copy.path / "console.log"
    console.write_bytes(console.read_bytes()[: ends[0]])
    verdict = told(copy.judge())
    verdict_is(verdict, ERROR, Cause.NO_CONSOLE, 2)
    assert told(check_of(verdict, "no_crash")).cause is Cause.MISSING_REPORT
