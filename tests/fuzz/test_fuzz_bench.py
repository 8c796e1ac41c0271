"""harness.fuzz.fake_mem and the command, with a session that only plays records"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

import pytest
from evidence.fake_kernel import FIRMWARE, entry
from support.recorded import RUNS, lay_out

from harness.cli import fuzz as command
from harness.cli.dispatch import main
from harness.cli.exits import Exit
from harness.errors import Interrupted
from harness.evidence.faking.entries import parse_cmdline
from harness.fuzz.campaign import Found, Outcome, Result
from harness.fuzz.fake_mem import Bench
from harness.load.scenarios import Variant
from harness.model.causes import Status
from harness.model.record import Phase
from harness.model.verdict import Verdict
from harness.model.words.fakemem import SoftReservedExact
from harness.session.session import Session

RECORD = "fake-mem-small"
SOFT = (entry("256M@4608M:0x40000"),)
HARD = (entry("4K@4608M:0x8000"), entry("64K@4608M:0x40000"))


class FakeSession:
    """Gives each run the next status and a record of its own."""

    def __init__(self, directory: Path, *statuses: Status) -> None:
        self.directory, self.statuses = directory, list(statuses)
        self.interrupted = False
        self.variants: list[Variant] = []

    def run(self, variants: tuple[Variant, ...]) -> tuple[Verdict, ...]:
        self.variants += variants
        if not self.statuses:
            self.interrupted = True
            return ()
        record = self.directory / f"run{len(self.variants)}"
        lay_out(RUNS / RECORD, record)
        return (
            Verdict(
                variant=variants[0].id,
                run_id=record.name,
                kernel="tiny-6.1",
                status=self.statuses.pop(0),
                headline="what came of it",
                phase=Phase.OFF,
                epoch=1,
                checks=(),
                run_dir=str(record),
            ),
        )


def bench(session: FakeSession, said: list[str]) -> Bench:
    return Bench(cast(Session, session), "tiny-6.1", said.append)


def test_the_first_run_gives_the_map(tmp_path: Path) -> None:
    session, said = FakeSession(tmp_path, Status.PASS), list[str]()
    ours = bench(session, said)
    assert ours.survey().status is Status.PASS
    assert len(ours.regions) > 100
    assert list(tmp_path.iterdir()) == []
    assert parse_cmdline(session.variants[0].scenario.cmdline[1]) == (entry("4K@1T:0x8000"),)
    assert said == ["first run: efi_fake_mem=4K@1T:0x8000", "first run: PASS: what came of it (0.0 s)"]


def test_a_first_run_that_is_no_pass_keeps_its_record(tmp_path: Path) -> None:
    ours = bench(FakeSession(tmp_path, Status.FAIL), [])
    assert ours.survey().status is Status.FAIL
    assert ours.regions == ()
    assert (tmp_path / "run1").is_dir()


@pytest.mark.parametrize(
    ("status", "outcome", "kept"),
    [
        (Status.PASS, Outcome.HOLDS, False),
        (Status.FAIL, Outcome.FAILS, True),
        (Status.ERROR, Outcome.UNKNOWN, True),
        (Status.UNSUPPORTED, Outcome.UNKNOWN, True),
    ],
)
def test_only_records_of_runs_that_held_go(tmp_path: Path, status: Status, outcome: Outcome, kept: bool) -> None:
    assert bench(FakeSession(tmp_path, status), []).trial("run 1 of 9", SOFT) is outcome
    assert (tmp_path / "run1").exists() is kept


def test_soft_reserved_is_expected_only_where_it_is_sure(tmp_path: Path) -> None:
    session = FakeSession(tmp_path, Status.PASS, Status.PASS)
    ours = bench(session, [])
    ours.regions = FIRMWARE
    ours.trial("one", SOFT)
    ours.trial("two", HARD)
    soft = [any(isinstance(item, SoftReservedExact) for item in v.scenario.expect) for v in session.variants]
    assert soft == [True, False]


def test_an_interrupt_ends_it(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        bench(FakeSession(tmp_path), []).trial("run 1 of 9", SOFT)


def concluded(tmp_path: Path, result: Result) -> Exit:
    options = argparse.Namespace(kernel="tiny-6.1", seed=3, out=tmp_path)
    ours = bench(FakeSession(tmp_path), [])
    ours.regions = FIRMWARE
    return command.conclude(options, ours, result)


def test_what_is_said_in_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert concluded(tmp_path, Result(9, 0, None)) is Exit.OK
    assert capsys.readouterr().out == "nothing found in 9 runs with seed 3 on tiny-6.1\n"
    assert concluded(tmp_path, Result(9, 2, None)) is Exit.ERROR
    assert "2 of them without an answer" in capsys.readouterr().out
    assert concluded(tmp_path, Result(4, 2, Found(4, HARD, SOFT, 6))) is Exit.FAIL
    out = capsys.readouterr().out
    assert "found in run 4: efi_fake_mem=4K@4608M:0x8000,64K@4608M:0x40000" in out
    assert "smallest (6 more runs): efi_fake_mem=256M@4608M:0x40000" in out
    assert (tmp_path / "found-3-4.yaml").is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ["fuzz"],
        ["fuzz", "fake-mem"],
        ["fuzz", "esrt", "--kernel", "x"],
        ["fuzz", "fake-mem", "--kernel", "x", "--runs", "0"],
        ["fuzz", "fake-mem", "--kernel", "x", "--seed", "y"],
    ],
)
def test_bad_options_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == Exit.USAGE
    assert "usage: harness fuzz" in capsys.readouterr().err
