"""Hang or slow, and what is looked at before QEMU is ended: whole runs with the fake QEMU."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fakes import fake_guest as guest
from fakes.fake_guest import script
from goldens import TESTDATA

from harness.evidence.code.autopsy import headline
from harness.judge.judge import judge
from harness.model.autopsy import FILE, Autopsy, Owner
from harness.model.causes import Cause
from harness.model.record import EndKind, Phase
from harness.record.store import read_record

from .conftest import HASTY, Ran, Stage

P = Phase
REGISTERS = (TESTDATA / "registers/kernel.txt").read_text()
MONITOR = {"info registers -a": REGISTERS}
_TO_KERNEL = [*guest.ready(), *guest.agent(), *guest.start()]
_CRASH = "[    3.000000] BUG: kernel NULL pointer dereference, address: 0000000000000008\r\n"


def autopsy(ran: Ran) -> Autopsy:
    found = read_record(ran.directory).autopsy
    assert found is not None
    return found


def notes(ran: Ran) -> list[str]:
    return [entry.text for entry in ran.entries if entry.type == "note"]


def failures(found: Autopsy) -> dict[str, str]:
    return {act.name: act.failure for act in found.acts}


def test_a_hang_is_looked_at_and_sealed(stage: Stage) -> None:
    nmi = "[    9.000000] Uhhuh. NMI received for unknown reason 21 on CPU 0.\r\n"
    ran = stage.run(script(_TO_KERNEL, monitor=MONITOR, nmi=nmi), stage.plan(budgets=HASTY))
    assert ran.end.kind is EndKind.TIMEOUT
    found = autopsy(ran)
    rip = int(re.search(r"RIP=([0-9a-f]+)", REGISTERS)[1], 16)  # type: ignore[index]
    assert [report.cpu.ip for report in found.cpus] == [rip]
    assert len(found.cpus[0].seen) > 1
    assert found.status == "running"
    assert found.nmi == (nmi.strip(),)
    end = read_record(ran.directory).end
    assert end is not None
    assert FILE in end.files
    assert ran.verdict.cause is Cause.HANG
    assert any("gets no more time" in note for note in notes(ran))
    assert f"{rip:#x}" in headline(found)


def test_what_the_nmi_makes_the_guest_print_is_no_evidence(stage: Stage) -> None:
    ran = stage.run(script(_TO_KERNEL, monitor=MONITOR, nmi=_CRASH), stage.plan(budgets=HASTY))
    record = read_record(ran.directory)
    assert _CRASH.strip() in ran.console
    assert _CRASH.strip().encode() not in record.console
    assert ran.end.last_line == "[    0.100000] booting"
    assert ran.verdict.cause is Cause.HANG


def test_a_frame_that_comes_too_late_changes_nothing(stage: Stage) -> None:
    late = [*_TO_KERNEL, {"wait_ms": 900}, *guest.up(1)]
    ran = stage.run(script(late, monitor={}, nmi=""), stage.plan(budgets=HASTY))
    ran.ended(EndKind.TIMEOUT, P.KERNEL, 1)


def test_an_autopsy_that_was_changed_is_a_bad_record(stage: Stage) -> None:
    ran = stage.run(script(_TO_KERNEL, monitor=MONITOR), stage.plan(budgets=HASTY))
    path = ran.directory / FILE
    path.write_text(path.read_text().replace("running", "walking"))
    assert judge(read_record(ran.directory)).cause is Cause.BAD_RECORD


@pytest.mark.parametrize("text", ["", "nonsense\n", REGISTERS.replace("RIP=", "PIR="), REGISTERS[:300]])
def test_registers_that_cannot_be_read_are_noted(stage: Stage, text: str) -> None:
    ran = stage.run(script(_TO_KERNEL, monitor={"info registers -a": text}), stage.plan(budgets=HASTY))
    assert ran.verdict.cause is Cause.HANG
    found = autopsy(ran)
    assert found.cpus == ()
    assert failures(found)["registers and stacks"]
    assert failures(found)["nmi"].endswith("the guest takes no NMI")
    assert headline(found) == ""


def test_memory_that_cannot_be_read_is_noted(stage: Stage) -> None:
    played = script(_TO_KERNEL, monitor=MONITOR, refuse={"pmemsave": "No space left on device"})
    ran = stage.run(played, stage.plan(budgets=HASTY))
    assert ran.verdict.cause is Cause.HANG
    assert "No space left" in failures(autopsy(ran))["registers and stacks"]


def test_a_qemu_that_hangs_is_asked_once(stage: Stage) -> None:
    ran = stage.run(script(_TO_KERNEL, [{"signal": 19}], monitor=MONITOR), stage.plan(budgets=HASTY))
    ran.ended(EndKind.HOST, P.KERNEL, 1)
    found = autopsy(ran)
    assert "no answer within" in failures(found)["status"]
    assert all("QEMU does not answer" in act.failure for act in found.acts[1:])
    assert len(found.acts) > 1


@pytest.mark.parametrize("step", [{"panic": True}, {"reset": "guest-reset"}, {"poweroff": True}])
def test_a_machine_that_stopped_is_looked_at_once_and_left_alone(stage: Stage, step: dict[str, object]) -> None:
    ran = stage.run(script(_TO_KERNEL, [step], monitor=MONITOR, nmi=_CRASH))
    found = autopsy(ran)
    assert found.status != "running"
    assert not found.ran
    assert [len(report.seen) for report in found.cpus] == [1]
    assert "nmi" not in failures(found)
    assert found.cpus[0].place.owner is not Owner.USER


def _talking(times: int) -> guest.Steps:
    return [step for n in range(times) for step in ({"wait_ms": 100}, {"console": f"[    1.{n:06d}] still here\r\n"})]


def test_a_guest_that_goes_on_printing_is_slow(stage: Stage) -> None:
    later = [*_talking(20), *guest.up(1), *guest.load(), *guest.leave(), *guest.banner(), *guest.up(2)]
    ran = stage.run(script(_TO_KERNEL, later, monitor=MONITOR), stage.plan(budgets=HASTY))
    ran.ended(EndKind.COMPLETE, P.OFF, 2)
    assert any("its console goes on" in note and "it gets more time" in note for note in notes(ran))


def test_a_guest_that_has_crashed_is_not_slow_however_much_it_prints(stage: Stage) -> None:
    ran = stage.run(
        script(_TO_KERNEL, [{"console": _CRASH}, *_talking(30)], monitor=MONITOR), stage.plan(budgets=HASTY)
    )
    assert ran.end.kind is EndKind.TIMEOUT
    assert any("crash report" in note and "no more time" in note for note in notes(ran))


def test_a_guest_that_prints_for_ever_gets_more_time_twice(stage: Stage) -> None:
    ran = stage.run(script(_TO_KERNEL, _talking(200), monitor=MONITOR), stage.plan(budgets=HASTY))
    assert ran.end.kind is EndKind.TIMEOUT
    assert sum("it gets more time" in note for note in notes(ran)) == 2
    assert "nothing decisive in 1.0 s" in ran.end.detail


def test_the_file_is_one_json_document(stage: Stage, tmp_path: Path) -> None:
    ran = stage.run(script(_TO_KERNEL, monitor=MONITOR), stage.plan(budgets=HASTY))
    document = json.loads((ran.directory / FILE).read_text())
    assert document["format"] == 1
    assert document["epoch"] == 1
