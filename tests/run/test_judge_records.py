"""The verdicts on real records, and what a record in the repository must not hold."""

from __future__ import annotations

import json
import re

import pytest
from goldens import compare

from harness.run.judge import judge
from harness.run.store import file_hashes, read_record

from .records import NAMES, RUNS

MAX_BYTES = 300_000


def test_all_are_here() -> None:
    assert NAMES == [
        "bgrt-kexec-load",
        "esrt-kexec-file",
        "esrt-kexec-load-6.1",
        "esrt-kexec-load-7.2",
        "esrt-no-table",
        "esrt-runtime-data",
        "fake-mem-kept",
        "fake-mem-small",
        "fake-mem-small-twin",
        "kexec-add-efi-memmap",
        "kexec-alternate",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_expected(name: str) -> None:
    verdict = judge(read_record(RUNS / name))
    found = {
        "status": verdict.status,
        "cause": verdict.cause,
        "epoch": verdict.epoch,
        "checks": {check.name: [check.status, check.cause] for check in verdict.checks},
    }
    compare(RUNS / name / "expected.json", json.dumps(found, indent=1) + "\n")


@pytest.mark.parametrize("name", NAMES)
def test_sealed_and_whole(name: str) -> None:
    record = read_record(RUNS / name)
    assert record.end is not None
    assert record.end.files == file_hashes(RUNS / name)
    assert record.problems == ()
    for entry in record.entries:
        file = getattr(entry, "body_file", None) or getattr(entry, "file", None)
        assert file is None or record.read(file)


@pytest.mark.parametrize("name", NAMES)
def test_anonymous_and_small(name: str) -> None:
    files = [path for path in (RUNS / name).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MAX_BYTES
    plan = (RUNS / name / "plan.json").read_text()
    stderr = (RUNS / name / "qemu.stderr").read_text()
    paths = re.findall(r"(?<![\w.:/}-])/[A-Za-z][^\s\",]*", plan + stderr)
    assert paths
    assert [path for path in paths if not re.match(r"/usr/(bin|share)/|/srv/harness/|/(proc|sys)/", path)] == []
