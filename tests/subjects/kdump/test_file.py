"""The dump as a file, where it is from, and the crash in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from goldens import compare
from support.kdump_records import NAMES, Kdump, red
from support.recorded import KDUMPS
from support.verdicts import said
from support.words import Told

from harness.model.causes import Cause, Status


@pytest.mark.parametrize("name", NAMES)
def test_expected(name: str, tmp_path: Path) -> None:
    verdict = Kdump(name, tmp_path).judge(seal=False)
    found = {
        "run": name,
        "status": verdict.status,
        "cause": verdict.cause,
        "epoch": verdict.epoch,
        "checks": {check.name: [check.status, check.cause] for check in verdict.checks},
    }
    compare(KDUMPS / name / "expected.json", json.dumps(found, indent=1) + "\n")


def test_every_check_of_a_clean_dump_says_what_it_proves(raw: Kdump) -> None:
    verdict = raw.judge(seal=False)
    assert verdict.status is Status.PASS
    text = " ".join(check.summary for check in verdict.checks)
    for word in (
        "the vmcore complete after",
        "is inside 0x",
        "build id",
        "by the task hX",
        "return addresses",
        "pages",
    ):
        assert word in text


@pytest.mark.parametrize("kept", [10, 64, 500, 4096, 0.3, 0.5, 0.99])
def test_a_truncated_dump(raw: Kdump, kept: float) -> None:
    """Cut by the writer: the run itself believed it whole."""
    data = raw.file.read_bytes()
    raw.rewrite(data[: int(kept if kept > 1 else kept * len(data))])
    red(raw.judge(), Cause.VMCORE_INCOMPLETE, "kdump: file")


def test_an_empty_dump(raw: Kdump) -> None:
    raw.rewrite(b"")
    red(raw.judge(), Cause.VMCORE_CORRUPT, "kdump: file")


def test_less_than_was_written(raw: Kdump, told: Told) -> None:
    """Nothing of the dump is missing, but something was behind it."""
    data = raw.file.read_bytes()
    raw.rewrite(data + b"more").rewrite(data, sealed=False)
    red(told(raw.judge()), Cause.VMCORE_INCOMPLETE, "kdump: file")


@pytest.mark.parametrize("kept", [100, 5000, 0.5, 0.999])
def test_a_truncated_flattened_dump(filtered: Kdump, kept: float) -> None:
    data = filtered.file.read_bytes()
    verdict = filtered.rewrite(data[: int(kept if kept > 1 else kept * len(data))]).judge()
    red(verdict, Cause.VMCORE_INCOMPLETE, "kdump: file")


def test_no_dump_at_all(raw: Kdump) -> None:
    raw.file.unlink()
    red(raw.judge(), Cause.VMCORE_MISSING, "kdump: file")


def test_a_dump_that_nobody_kept(raw: Kdump) -> None:
    raw.drop(type="vmcore")
    red(raw.judge(), Cause.VMCORE_MISSING, "kdump: file")


def test_another_format_than_was_asked_for(raw: Kdump) -> None:
    raw.edit_plan(lambda plan: plan["scenario"]["steps"][-1]["capture"].update(filter=31))
    red(raw.judge(), Cause.VMCORE_CORRUPT, "kdump: file")


def test_noise_instead_of_a_dump(raw: Kdump) -> None:
    raw.rewrite(b"GIF89a" * 10000)
    red(raw.judge(), Cause.VMCORE_CORRUPT, "kdump: file")


def test_the_dump_of_another_kernel(raw: Kdump) -> None:
    raw.edit_memory(b"OSRELEASE=6.1.192-tiny", b"OSRELEASE=6.1.193-tiny", count=-1)
    assert "6.1.193-tiny" in red(raw.judge(), Cause.VMCORE_FOREIGN, "kdump: origin")


def test_the_dump_of_another_build(raw: Kdump, told: Told) -> None:
    raw.edit_memory(b"BUILD-ID=ef5", b"BUILD-ID=ef6", count=-1)
    red(told(raw.judge()), Cause.VMCORE_FOREIGN, "kdump: origin")


def test_the_dump_of_another_run(raw: Kdump) -> None:
    """The same kernel, the same crash, another nonce; memory does not fit either, but that is not what it is."""
    nonce = raw.json("plan.json")["nonce"].encode()
    data = raw.file.read_bytes().replace(b"harness.nonce=" + nonce, b"harness.nonce=0badcafe")
    raw.rewrite(data.replace(b"hX" + nonce, b"hX0badcafe"))
    assert "0badcafe" in red(raw.judge(), Cause.VMCORE_FOREIGN, "kdump: origin")


def test_another_runs_task_crashed(raw: Kdump) -> None:
    nonce = raw.json("plan.json")["nonce"].encode()
    raw.edit_memory(b"hX" + nonce, b"hX0badcafe", count=-1)
    (raw.path / "vmcore-dmesg.txt").unlink()
    assert "hX0badcafe" in red(raw.judge(), Cause.VMCORE_FOREIGN, "kdump: crash")


def test_the_panic_of_another_cause(raw: Kdump, told: Told) -> None:
    raw.edit_memory(
        b"panic - not syncing: sysrq triggered crash", b"panic - not syncing: Attempted to kill in!", count=-1
    )
    red(told(raw.judge()), Cause.WRONG_CRASH, "kdump: crash")


def test_a_crash_before_the_injected_one(raw: Kdump) -> None:
    raw.edit_memory(b"sysrq: Trigger a crash", b"kernel BUG at foo.c:1!", count=-1)
    red(raw.judge(), Cause.WRONG_CRASH, "kdump: crash")


def test_another_task_crashed(raw: Kdump) -> None:
    nonce = raw.json("plan.json")["nonce"].encode()
    raw.edit_memory(b"Comm: hX" + nonce, b"Comm: kworker/01", count=-1)
    red(raw.judge(), Cause.WRONG_CRASH, "kdump: crash")


def test_a_log_that_the_capture_kernel_read_otherwise(raw: Kdump, told: Told) -> None:
    raw.edit("vmcore-dmesg.txt", "Run /init as init process", "Run /sbin as init process")
    red(told(raw.judge()), Cause.VMCORE_CORRUPT, "kdump: crash")


def test_no_crash_knows_the_injected_crash_from_another(raw: Kdump) -> None:
    raw.print(2, "BUG: kernel NULL pointer dereference, address: 0000000000000010")
    verdict = raw.judge()
    assert (verdict.status, verdict.cause, verdict.epoch) == (Status.FAIL, Cause.OOPS, 2), said(verdict)
