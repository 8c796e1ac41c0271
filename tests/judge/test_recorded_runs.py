"""The verdicts on real records, and what a record in the repository must not hold."""

from __future__ import annotations

import json
import re

import pytest
from goldens import compare
from support.recorded import NAMES, RUNS, laid_out

from harness.judge.judge import judge
from harness.model.causes import Status
from harness.record.store import file_hashes, read_record

MAX_BYTES = 300_000


def test_there_are_many_of_every_kind() -> None:
    assert len(NAMES) >= 60
    expected = [json.loads((RUNS / name / "expected.json").read_text()) for name in NAMES]
    assert {item["status"] for item in expected} == set(Status)
    bad = {item["cause"] for item in expected if item["status"] in (Status.FAIL, Status.ERROR)}
    assert len(bad) >= 15, bad


@pytest.mark.parametrize("name", NAMES)
def test_expected(name: str) -> None:
    verdict = judge(read_record(laid_out(name)))
    found = {
        "run": name,
        "status": verdict.status,
        "cause": verdict.cause,
        "epoch": verdict.epoch,
        "checks": {check.name: [check.status, check.cause] for check in verdict.checks},
    }
    compare(RUNS / name / "expected.json", json.dumps(found, indent=1) + "\n")


@pytest.mark.parametrize("name", NAMES)
def test_sealed_and_whole(name: str) -> None:
    record = read_record(laid_out(name))
    assert record.end is not None
    assert record.end.files == file_hashes(laid_out(name))
    assert record.problems == ()
    for entry in record.entries:
        file = getattr(entry, "body_file", None) or getattr(entry, "file", None)
        assert file is None or record.read(file)


@pytest.mark.parametrize("name", NAMES)
def test_anonymous_and_small(name: str) -> None:
    files = [path for path in laid_out(name).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MAX_BYTES
    plan = (laid_out(name) / "plan.json").read_text()
    stderr = (laid_out(name) / "qemu.stderr").read_text()
    paths = re.findall(r"(?<![\w.:/}-])/[A-Za-z][^\s\",]*", plan + stderr)
    assert paths
    usual = re.compile(r"/usr/(bin|share)/|/srv/harness/|/(proc|sys)/|/nothing$")
    assert [path for path in paths if not usual.match(path)] == []
