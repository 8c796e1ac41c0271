"""The steps that call firmware, on a machine that is made up."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest
from pydantic import TypeAdapter
from support.synthetic import NONCE, kernel, plan, prepared, scenario

from harness.machine.frame import Frame
from harness.model.record import EndKind, SampleEntry
from harness.model.words.steps import AnyStep, Step
from harness.stage.stage import EndedError, Stage
from harness.subjects.acts import ACTS

LOGBOOK = 0x3F51B000


@dataclass
class Machine:
    """What was asked of it, in order."""

    answer: dict[str, str] = field(default_factory=dict)
    ends: EndKind | None = None
    """How the run ends when it is waited for."""
    driver: bool = True
    log: list[str] = field(default_factory=list)
    samples: list[SampleEntry] = field(default_factory=list)

    def read(self, address: int, size_bytes: int) -> bytes:
        assert (address, size_bytes) == (LOGBOOK, 4096)
        self.log.append("logbook")
        return bytes(size_bytes)

    def command(self, name: str, fields: dict[str, str] | None = None) -> None:
        self.log.append(" ".join([name, *(f"{key}={value}" for key, value in (fields or {}).items())]))

    def wait(self, kind: str, timeout_s: float, *, tolerate: Iterable[EndKind] = ()) -> Frame:
        self.log.append(f"wait {kind} {timeout_s:g}")
        if self.ends is not None and self.ends not in tolerate:
            raise EndedError(self.ends, "it ended")
        return Frame(NONCE, 1, kind, self.answer)

    def ending(self, kinds: Collection[EndKind], timeout_s: float, since: int) -> str:
        self.log.append(f"ending {' '.join(sorted(kinds))} {timeout_s:g} since {since}")
        if self.ends is not None and self.ends not in kinds:
            raise EndedError(self.ends, "it ended")
        return "the machine was reset"

    @property
    def stage(self) -> Stage:
        """What the actions use of a stage."""
        frames = [Frame(NONCE, 1, "runtime", {"logbook_address": hex(LOGBOOK)})] if self.driver else []
        feed = SimpleNamespace(since=lambda: [SimpleNamespace(data=frame) for frame in frames])
        times = iter(range(1, 100))
        stage = SimpleNamespace(
            plan=SimpleNamespace(budgets=SimpleNamespace(reply_s=10.0, load_s=30.0)),
            machine=SimpleNamespace(memory=self, feed=feed),
            recorder=SimpleNamespace(epoch=2),
            writer=SimpleNamespace(
                now_s=lambda: float(next(times)),
                sample=lambda label, _data: (f"samples/{label}.bin", "0" * 64),
                append=self.samples.append,
            ),
            command=self.command,
            wait=self.wait,
            ending=self.ending,
            cursor=17,
        )
        return cast("Stage", stage)


def step(written: object) -> AnyStep:
    return TypeAdapter(Step).validate_json(json.dumps(written))


def do(stage: Stage, written: object) -> None:
    found = step(written)
    ACTS[type(found)](stage, found, 1)


def call(fault: str | None = None) -> object:
    return {"runtime": {"call": "set-variable", "fault": fault, "wait_s": 7}}


def reboot(fault: str | None = None) -> object:
    return {"reboot": {"by": "efi", "fault": fault}}


def test_a_call_stands_between_two_readings_of_the_logbook() -> None:
    machine = Machine()
    do(machine.stage, call("loop"))
    asked = "runtime call=set-variable wait_s=7 fault=loop"
    assert machine.log == ["logbook", asked, "wait called 17", "logbook"]
    assert [(item.epoch, item.subject, item.pages_address) for item in machine.samples] == [(2, "logbook", LOGBOOK)] * 2
    assert len({item.file for item in machine.samples}) == 2


def test_a_call_without_fault_names_none() -> None:
    machine = Machine()
    do(machine.stage, call())
    assert machine.log[1] == "runtime call=set-variable wait_s=7"


@pytest.mark.parametrize(("ends", "read"), [(EndKind.TIMEOUT, 2), (EndKind.PANIC, 2), (EndKind.QEMU_DIED, 1)])
def test_the_logbook_is_read_when_the_machine_is_lost(ends: EndKind, read: int) -> None:
    machine = Machine(ends=ends)
    with pytest.raises(EndedError):
        do(machine.stage, call("loop"))
    assert machine.log.count("logbook") == read


def test_without_a_driver_there_is_no_logbook() -> None:
    machine = Machine(driver=False)
    do(machine.stage, reboot())
    assert (machine.samples, "logbook" in machine.log) == ([], False)


def test_round_trips_get_time_to_be_done() -> None:
    machine = Machine()
    do(machine.stage, {"efivars": {"round_trips": 1000}})
    assert machine.log[1:3] == ["efivars round_trips=1000 wait_s=60", "wait efivars 70"]


def test_alive_is_asked() -> None:
    machine = Machine()
    do(machine.stage, {"alive": {}})
    assert machine.log == ["alive", "wait alive 30"]


def test_a_reset_is_waited_for_from_before_the_command() -> None:
    machine = Machine()
    do(machine.stage, reboot())
    assert machine.log == ["logbook", "reboot", "wait rebooting 20", "ending reset 10 since 17", "logbook"]


def test_after_a_fault_in_reset_firmware_may_run_again() -> None:
    machine = Machine(ends=EndKind.BACK_IN_FIRMWARE)
    machine.wait = lambda kind, *_args, **_options: Frame(NONCE, 1, kind, {})  # type: ignore[method-assign]
    do(machine.stage, reboot("loop"))
    assert machine.log[1:3] == ["reboot fault=loop", "ending back-in-firmware reset 10 since 17"]
    with pytest.raises(EndedError):
        do(machine.stage, reboot())


@pytest.mark.parametrize("answer", [{"runtime": "absent"}, {"runtime": "present", "arm_errno": "22"}])
def test_a_fault_that_is_not_armed_is_not_waited_for(answer: dict[str, str]) -> None:
    machine = Machine(answer)
    do(machine.stage, reboot("loop"))
    assert not any(word.startswith("ending") for word in machine.log)


def test_a_load_to_be_refused_names_the_next_kernel() -> None:
    machine = Machine()
    stage = machine.stage
    stage.plan.epochs = plan(scenario(), prepared([kernel()] * 2)).epochs  # type: ignore[misc]
    do(stage, {"kexec_refused": {"syscall": "load"}})
    assert machine.log == [
        "try-load syscall=load kernel=kernel0 kernel_size=2000000 initrd=initrd1 initrd_size=5004096",
        "wait tried 30",
    ]
