"""Exit codes of ``harness``."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

from harness.errors import HarnessError, HostError, InputError, Interrupted

if TYPE_CHECKING:
    from harness.model.verdict import Verdict


class Exit(IntEnum):
    OK = 0
    FAIL = 1
    USAGE = 2
    ERROR = 3
    NOTHING_TESTABLE = 5
    INTERRUPTED = 130


_OF_ERRORS: dict[type[HarnessError], Exit] = {
    InputError: Exit.USAGE,
    HostError: Exit.ERROR,
    Interrupted: Exit.INTERRUPTED,
    HarnessError: Exit.ERROR,
}


def exit_of(error: HarnessError) -> Exit:
    """The exit code of a command that an error ends."""
    return _OF_ERRORS[next(kind for kind in _OF_ERRORS if isinstance(error, kind))]


def despite_lost_document(status: Exit) -> Exit:
    """The exit code when a JSON document was asked for and could not be written: no success, but FAIL stays FAIL."""
    return Exit.ERROR if status in (Exit.OK, Exit.NOTHING_TESTABLE) else status


def exit_for(verdicts: Sequence[Verdict], *, require_tested: bool = False) -> Exit:
    """0 all as expected, 1 a FAIL nobody expected, 3 an ERROR, 5 nothing was testable; FAIL before ERROR.

    Args:
        require_tested: what could not be tested here, beside others that were, is 3, too.
    """
    from harness.model.causes import Status

    if any(verdict.status is Status.FAIL and not verdict.as_expected for verdict in verdicts):
        return Exit.FAIL
    if any(verdict.status is Status.ERROR for verdict in verdicts):
        return Exit.ERROR
    if not any(verdict.as_expected for verdict in verdicts):
        return Exit.NOTHING_TESTABLE
    if require_tested and any(verdict.status is Status.UNSUPPORTED for verdict in verdicts):
        return Exit.ERROR
    return Exit.OK
