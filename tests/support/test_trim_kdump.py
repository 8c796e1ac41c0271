"""The script that makes test data of a run with a dump: fewer pages, the same verdict."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from goldens import TESTDATA

from harness.judge.judge import judge
from harness.record.store import read_record
from support.kdump_records import Kdump, unpack


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec = importlib.util.spec_from_file_location("trim_kdump", TESTDATA / "trim_kdump.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["raw", "filtered"])
def test_trimmed_again(script: ModuleType, tmp_path: Path, name: str) -> None:
    run = Kdump(name, tmp_path).path
    names = sorted(path.name for path in run.iterdir())
    before = judge(read_record(run))
    script.trim_kdump(run, tmp_path / "out")
    packed = [path.name for path in (tmp_path / "out").rglob("*.gz")]
    assert any(file.startswith("vmcore") for file in packed)
    unpack(tmp_path / "out")
    after = judge(read_record(tmp_path / "out"))
    assert [(check.name, check.status) for check in after.checks] == [
        (check.name, check.status) for check in before.checks
    ]
    assert sorted(path.name for path in run.iterdir()) == names, "the run itself stays as it was"
