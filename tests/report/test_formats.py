"""What came of a whole run, and the table of formats that tells it: a row is all that a format needs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from harness.cli.exits import Exit
from harness.cli.out import reports
from harness.cli.out.document import Documents
from harness.errors import InputError
from harness.model.causes import Cause, Status
from harness.model.record import Phase
from harness.model.verdict import Verdict
from harness.report import formats, text
from harness.report.formats import Format
from harness.report.results import Results, tally

LINES = Format(
    "lines",
    "lines",
    lambda verdict, _plan: f"{verdict.variant} {verdict.status}\n",
    lambda results: "".join(f"{item.variant} {item.status}\n" for item in results.verdicts),
)


def verdict(status: Status, cause: Cause | None = None, variant: str = "a/b[c]") -> Verdict:
    return Verdict(
        variant=variant,
        run_id="r",
        kernel="c",
        headline="so it was",
        epoch=0,
        checks=(),
        status=status,
        cause=cause,
        phase=Phase.OFF,
    )


RED, GREEN = verdict(Status.FAIL, Cause.HANG), verdict(Status.PASS)


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "NAMED", (*formats.NAMED, LINES))


def parsed(add: str, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    getattr(reports, add)(parser)
    return parser.parse_args(words)


def test_tally() -> None:
    (mixed,) = tally([GREEN, RED, GREEN])
    assert (mixed.flaky, mixed.runs, mixed.as_expected) == (True, 3, 2)
    assert mixed.counts == {"PASS": 2, "FAIL hang": 1}
    assert not tally([GREEN, GREEN])[0].flaky
    assert not tally([RED, RED])[0].flaky
    other = verdict(Status.FAIL, Cause.HANG, variant="x/y[c]")
    assert [item.flaky for item in tally([GREEN, other])] == [False, False]


def test_json_has_all_verdicts_and_what_they_come_to() -> None:
    document = json.loads(formats.NAMED[0].all(Results((RED, GREEN), 2, 1)))
    assert (document["format"], document["exit"]) == (1, 1)
    assert [item["status"] for item in document["verdicts"]] == ["FAIL", "PASS"]
    assert [item["variant"] for item in document["flaky"]] == ["a/b[c]"]


def test_text_shows_all_of_one_run_and_of_several_what_needs_a_person() -> None:
    assert formats.TEXT.all(Results((GREEN,), 1, 0)) == text.render(GREEN) + "\n"
    told = formats.TEXT.all(Results((RED, GREEN), 2, 1))
    assert told.startswith(text.render(RED))
    assert text.render(GREEN) not in told
    assert text.summary((RED, GREEN)) in told
    assert told.endswith(f"FLAKY       {tally((RED, GREEN))[0]}\n")


@pytest.mark.usefixtures("three")
def test_a_row_gives_run_its_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out"
    documents = Documents(reports.targets(parsed("add_files", "--lines", str(path), "--json", "-")), ("a/b[c]",) * 3)
    assert documents.on_stdout
    assert documents.write(documents.results(Exit.FAIL, (RED, GREEN)))
    assert path.read_text() == "a/b[c] FAIL\na/b[c] PASS\n"
    document = json.loads(capsys.readouterr().out)
    assert (document["exit"], document["not_run"]) == (1, ["a/b[c]"])


@pytest.mark.usefixtures("three")
def test_a_row_gives_judge_its_option() -> None:
    assert reports.chosen(parsed("add_flags", "--lines")) is LINES
    assert reports.chosen(parsed("add_flags", "--json")) is formats.NAMED[0]
    assert reports.chosen(parsed("add_flags")) is formats.TEXT
    with pytest.raises(argparse.ArgumentError):
        parsed("add_flags", "--lines", "--json")


@pytest.mark.usefixtures("three")
def test_standard_output_is_for_one() -> None:
    with pytest.raises(InputError, match="--json - and --lines -: only one"):
        reports.targets(parsed("add_files", "--lines", "-", "--json", "-"))
