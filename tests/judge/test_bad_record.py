"""Files of a record that are not what they were: a bad record, which accuses nobody."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.damage import PASSED
from support.records import Copy, Edit
from support.verdicts import verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED
SAMPLE = "samples/2-up-esrt.bin"


def _truncated(name: str) -> Edit:
    def edit(copy: Copy) -> None:
        path = copy.path / name
        path.write_bytes(path.read_bytes()[:-1])

    return edit


DAMAGED_FILES: dict[str, Edit] = {
    "missing": lambda copy: (copy.path / SAMPLE).unlink(),
    "truncated": _truncated(SAMPLE),
    "other-bytes": lambda copy: copy.flip(SAMPLE, 0x100, noted=False),
    "other-place": lambda copy: copy.change({"address": 0x1000}, type="sample", file=SAMPLE),
    "outside": lambda copy: copy.change({"file": "../../etc/passwd"}, type="sample", file=SAMPLE),
    "end-is-no-json": _truncated("end.json"),
    "journal-line": lambda copy: copy.edit("journal.jsonl", '"phase": "agent"', "X"),
}


@pytest.mark.parametrize("case", DAMAGED_FILES)
def test_damaged_file(copy_of: CopyOf, told: Told, case: str) -> None:
    edit = DAMAGED_FILES[case]
    copy = copy_of(PASSED)
    copy.entries = copy.entries  # the journal in the tests' own form
    copy.seal()
    (copy.path / "end.json").write_text(copy.read("end.json").rstrip())
    edit(copy)
    if case != "end-is-no-json":
        copy.seal()
    verdict = copy.judge(seal=False)
    verdict_is(told(verdict), ERROR, Cause.BAD_RECORD, verdict.epoch)


def test_no_end(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(PASSED)
    (copy.path / "end.json").unlink()
    verdict_is(told(copy.judge(seal=False)), ERROR, Cause.BAD_RECORD, 0)


def test_killed_harness_keeps_a_fail_that_was_seen(copy_of: CopyOf) -> None:
    copy = copy_of("esrt-kexec-load-6.1")
    (copy.path / "end.json").unlink()
    verdict_is(copy.judge(seal=False), FAIL, Cause.ESRT_CORRUPT, 2)
