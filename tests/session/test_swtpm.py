"""swtpm ends, or stops, while a kernel runs: that is never the kernel's fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import fake_guest as guest
from fakes.fake_guest import script

from harness.model.causes import Cause, Status
from harness.model.plan import Plan
from harness.model.record import EndKind, Phase

from .conftest import HASTY, PATIENT, Stage, scenario


def with_swtpm(stage: Stage, lines: str, *, hasty: bool = False) -> Plan:
    """A program in the place of swtpm; the fake QEMU does not speak to it."""
    program = stage.root / "swtpm"
    program.write_text(f"#!/bin/sh\n{lines}\n")
    program.chmod(0o755)
    plan = stage.plan(scenario(machine={"tpm": "tis"}), HASTY if hasty else PATIENT)
    return plan.model_copy(update={"swtpm": program})


# The kernel has begun, and never reports.
SILENT = script(*guest.whole_run()[:3])


@pytest.mark.parametrize(
    ("lines", "how"), [("sleep 1; kill -9 $$", "by signal 9"), ("sleep 1; exit 3", "with status 3")]
)
def test_it_ends(stage: Stage, lines: str, how: str) -> None:
    ran = stage.run(SILENT, with_swtpm(stage, lines))
    assert (ran.end.kind, ran.end.epoch) == (EndKind.HOST, 1)
    assert ran.end.detail == f"swtpm ended {how} while QEMU lived"
    assert (ran.verdict.status, ran.verdict.cause) == (Status.ERROR, Cause.HOST), ran.verdict


def test_it_is_stopped(stage: Stage) -> None:
    ran = stage.run(SILENT, with_swtpm(stage, "kill -STOP $$", hasty=True))
    assert ran.end.kind is EndKind.HOST
    assert ran.end.detail.startswith("swtpm lives and cannot answer (its process is stopped by a signal); no 'hello'")
    assert (ran.verdict.status, ran.verdict.cause) == (Status.ERROR, Cause.HOST), ran.verdict


def test_it_is_gone_after_the_run_and_what_it_said_is_in_the_record(stage: Stage) -> None:
    ran = stage.run(SILENT, with_swtpm(stage, "echo $$ >pid; echo some words >&2; exec sleep 60", hasty=True))
    assert (ran.end.kind, ran.end.phase) == (EndKind.TIMEOUT, Phase.KERNEL)
    assert (ran.directory / "swtpm.log").read_text() == "some words\n"
    assert not Path("/proc", (ran.directory / "pid").read_text().strip()).exists()


def test_it_cannot_be_started(stage: Stage) -> None:
    plan = stage.plan(scenario(machine={"tpm": "tis"})).model_copy(update={"swtpm": stage.root / "swtpm"})
    ran = stage.run(SILENT, plan)
    assert ran.end.kind is EndKind.HOST
    assert "swtpm was not found" in ran.end.detail
    assert (ran.verdict.status, ran.verdict.cause) == (Status.ERROR, Cause.HOST)
