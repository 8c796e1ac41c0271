"""Every record, damaged in every way that any record can be: no damage passes in silence, and none makes a PASS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.recorded import NAMES, RUNS, files
from support.records import Copy

from harness.judge.judge import judge
from harness.model.causes import Cause, Status
from harness.record.store import read_record

CopyOf = Callable[[str], Copy]


def _passed(name: str) -> bool:
    return '"status": "PASS"' in (RUNS / name / "expected.json").read_text()


GREEN = [name for name in NAMES if _passed(name)]


def _files(name: str, folder: str) -> list[str]:
    return sorted(file for file in files(RUNS / name) if file.startswith(f"{folder}/"))


@pytest.mark.parametrize("name", NAMES)
def test_every_file_counts(copy_of: CopyOf, name: str) -> None:
    """A byte of a sample, a fact or the console that is not what it was when the run ended."""
    copy = copy_of(name)
    for file in (*_files(name, "samples"), "console.log", "journal.jsonl"):
        path = copy.path / file
        data = path.read_bytes()
        if not data:
            continue
        path.write_bytes(bytes((data[0] ^ 1,)) + data[1:])
        verdict = judge(read_record(copy.path))
        assert verdict.status is not Status.PASS, file
        assert any(check.cause is Cause.BAD_RECORD for check in verdict.checks) or file not in _read(copy.path), file
        path.write_bytes(data)


def _read(directory: Path) -> frozenset[str]:
    """The files that the judge of this record reads."""
    seen = set()
    record = read_record(directory)

    def read(name: str) -> bytes:
        seen.add(name)
        return record.read(name)

    judge(replace(record, read=read))
    return frozenset({*seen, "journal.jsonl"})


@pytest.mark.parametrize("name", GREEN)
def test_no_epoch_may_be_silent_or_missing(copy_of: CopyOf, name: str) -> None:
    whole = copy_of(name)
    entries = whole.entries
    epochs = [epoch["number"] for epoch in whole.json("plan.json")["epochs"]]
    for epoch in epochs:
        whole.drop(kind="hello", epoch=epoch)
        verdict = whole.judge()
        assert (verdict.status, verdict.cause) == (Status.ERROR, Cause.MISSING_REPORT), epoch
        whole.entries = entries
        whole.change({"fields": {"boot_id": "00000000-0000-0000-0000-000000000000"}}, kind="hello")
        assert whole.judge().status is (Status.FAIL if len(epochs) > 1 else Status.PASS)
        whole.entries = entries
    console = whole.path / "console.log"
    console.write_bytes(b"")
    assert whole.judge().cause is Cause.NO_CONSOLE


ENDS = (
    ("panic", Status.FAIL, Cause.SILENT_PANIC),
    ("poweroff", Status.FAIL, Cause.POWEROFF),
    ("back-in-firmware", Status.FAIL, Cause.BACK_IN_FIRMWARE),
    ("boot-loop", Status.FAIL, Cause.BOOT_LOOP),
    ("qemu-died", Status.ERROR, Cause.QEMU_DIED),
    ("port-lost", Status.ERROR, Cause.PORT_LOST),
    ("clock-skew", Status.ERROR, Cause.CLOCK_SKEW),
    ("host", Status.ERROR, Cause.HOST),
    ("interrupted", Status.ERROR, Cause.INTERRUPTED),
)
LOGS = (
    ("CPU Reset\n\nTriple fault\n", Cause.TRIPLE_FAULT),
    ("Triple fault\nCPU Reset\n", Cause.RESET),
    (None, Cause.RESET),
)


@pytest.mark.parametrize("name", GREEN)
def test_a_run_that_ended_early_is_no_pass(copy_of: CopyOf, name: str) -> None:
    copy = copy_of(name)
    last = copy.json("plan.json")["epochs"][-1]["number"]

    def ended(kind: str) -> tuple[Status, Cause | None]:
        verdict = copy.edit_json("end.json", kind=kind, epoch=last, phase="userspace", detail="as told").judge()
        assert verdict.status is not Status.PASS, kind
        (run,) = (check for check in verdict.checks if check.name == "run")
        return run.status, run.cause

    for kind, status, cause in ENDS:
        assert ended(kind) == (status, cause)
    log = copy.path / "qemu.log"
    for text, cause in LOGS:
        log.unlink(missing_ok=True)
        if text is not None:
            log.write_text(text)
        assert ended("reset") == (Status.FAIL, cause), text


@pytest.mark.parametrize("name", [name for name in NAMES if name not in GREEN])
def test_a_bad_run_stays_bad_without_its_end(copy_of: CopyOf, name: str) -> None:
    """Also when the harness was killed before it could write how the run ended."""
    copy = copy_of(name)
    (copy.path / "end.json").unlink()
    assert copy.judge(seal=False).status is not Status.PASS
