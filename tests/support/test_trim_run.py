"""The script that makes test data of a run: the verdict stays, the machine it was made on goes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from goldens import TESTDATA

from harness.judge.judge import judge
from harness.record.observations import Observations
from harness.record.store import read_record
from support.recorded import RUNS, files, laid_out, lay_out

NAME = "esrt-kexec-load-6.1"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("trim_run", TESTDATA / "trim_run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with what a real one has besides, on a machine whose home is /srv/harness/cache."""
    lay_out(RUNS / NAME, tmp_path / "run")
    (tmp_path / "run" / "vars.fd").write_bytes(b"\0" * 1000)
    (tmp_path / "run" / "com2.log").write_text("noise")
    (tmp_path / "run" / "facts" / "099-1-devices").write_text("vda=kernel1")
    with (tmp_path / "run" / "journal.jsonl").open("a") as journal:
        journal.write(
            '{"type":"frame","t_s":1.0,"epoch":1,"kind":"fact","fields":{"name":"devices"},'
            '"body_file":"facts/099-1-devices"}\n'
        )
    return tmp_path / "run"


def test_trimmed(script: ModuleType, run: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "expected.json").write_text("kept")
    script.trim(run, target, {"/srv/harness/cache": "/srv/elsewhere"})
    trimmed = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert trimmed == {*files(RUNS / NAME), "expected.json"}
    assert (target / "expected.json").read_text() == "kept"
    assert "/srv/elsewhere/initrd/" in (target / "plan.json").read_text()
    assert "/srv/harness/cache" not in (target / "plan.json").read_text()
    assert (target / "console.log").read_bytes() == (laid_out(NAME) / "console.log").read_bytes()
    before, after = judge(read_record(laid_out(NAME))), judge(read_record(target))
    assert [(check.name, check.status) for check in after.checks] == [
        (check.name, check.status) for check in before.checks
    ]


def test_a_leak_is_refused(script: ModuleType, run: Path, tmp_path: Path) -> None:
    """The console is not edited, so what is in it must not be of this machine."""
    console = (run / "console.log").read_bytes()
    (run / "console.log").write_bytes(console + b"/home/someone/secret\n")
    with pytest.raises(SystemExit, match=r"console\.log: still contains '/home/someone'"):
        script.trim(run, tmp_path / "out", {"/home/someone": "/srv/harness/home"})


def test_too_big_is_refused(script: ModuleType, run: Path, tmp_path: Path) -> None:
    (run / "console.log").write_bytes(b"x" * script.MAX_BYTES)
    with pytest.raises(SystemExit, match="more than"):
        script.trim(run, tmp_path / "out", {})


@pytest.mark.parametrize("name", ["esrt-kexec-load-6.1", "esrt-kexec-file", "fake-mem-small"])
def test_short(script: ModuleType, tmp_path: Path, name: str) -> None:
    """Most of the logs goes; epochs, verdict and every check stay."""
    script.trim(laid_out(name), tmp_path / "out", {}, short=True)
    before, after = read_record(laid_out(name)), read_record(tmp_path / "out")
    assert len(after.console) < 0.8 * len(before.console)
    assert after.console.count(b"Linux version") == before.console.count(b"Linux version")
    old, new = Observations(before), Observations(after)
    for epoch in before.plan.epochs:
        assert new.epoch_lines(epoch.number)[0].text == old.epoch_lines(epoch.number)[0].text
    whole, short = judge(before), judge(after)
    assert (short.status, short.cause, short.epoch) == (whole.status, whole.cause, whole.epoch)
    assert [(check.name, check.status) for check in short.checks] == [
        (check.name, check.status) for check in whole.checks
    ]
