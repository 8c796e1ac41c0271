"""Exit codes of ``harness``."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.model.verdict import Verdict


class Exit(IntEnum):
    OK = 0
    FAIL = 1
    USAGE = 2
    ERROR = 3
    NOTHING_TESTABLE = 5
    INTERRUPTED = 130


def despite_lost_document(status: Exit) -> Exit:
    """The exit code when a JSON document was asked for and could not be written: no success, but FAIL stays FAIL."""
    return Exit.ERROR if status in (Exit.OK, Exit.NOTHING_TESTABLE) else status


def exit_for(verdicts: Sequence[Verdict]) -> Exit:
    """0 all as expected, 1 a FAIL nobody expected, 3 an ERROR, 5 nothing was testable; FAIL before ERROR."""
    from harness.model.causes import Status

    if any(verdict.status is Status.FAIL and not verdict.as_expected for verdict in verdicts):
        return Exit.FAIL
    if any(verdict.status is Status.ERROR for verdict in verdicts):
        return Exit.ERROR
    if not any(verdict.as_expected for verdict in verdicts):
        return Exit.NOTHING_TESTABLE
    return Exit.OK
