from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from support.driver_commands import command_data, command_file

from harness.model.words.driver import (
    MAGIC_GUID,
    Fault,
    FirmwareArch,
    RuntimePlan,
    Service,
    Target,
    Trap,
)


def plan(**changes: Any) -> RuntimePlan:
    return RuntimePlan(**{"driver": Path("/d.efi"), "driver_sha256": "0" * 64, **changes})


def test_a_plan_survives_json() -> None:
    whole = plan(armed={Service.GET_TIME: Fault.LOOP}, symbols={"fault_loop": 4096})
    assert RuntimePlan.model_validate_json(whole.model_dump_json()) == whole


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hooks": ()}, "at least one service"),
        ({"hooks": (Service.GET_TIME, Service.GET_TIME)}, "each once"),
        (
            {"hooks": (Service.SET_VARIABLE,), "armed": {Service.GET_TIME: Fault.LOOP}},
            "get-time is armed but not hooked",
        ),
        ({"armed": {Service.SET_VARIABLE: Fault.LOOP}}, "set-variable cannot be armed"),
        ({"armed": {Service.GET_TIME: Fault.NONE}}, "leave it out"),
    ],
)
def test_a_plan_that_makes_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        plan(**changes)


def test_faults_that_touch_something_are_page_faults() -> None:
    assert {fault for fault in Fault if fault.target is not None} == {
        fault for fault in Fault if fault.trap is Trap.PAGE_FAULT
    }
    assert Fault.READ_CONVENTIONAL.target is Target.CONVENTIONAL
    assert {fault for fault in Fault if fault.needs_memattr} == {Fault.WRITE_CODE, Fault.EXECUTE_IMAGE_DATA}
    assert {fault for fault in Fault if not fault.on_ia32} == {Fault.NON_CANONICAL}
    assert [fault for fault in Fault if fault.trap is Trap.NONE] == [Fault.NONE, Fault.LOOP, Fault.INTERRUPTS_OFF]
    assert Fault.NON_CANONICAL.trap is Trap.GENERAL_PROTECTION
    assert [arch.pointer_bytes for arch in FirmwareArch] == [8, 4]


def test_numbers_are_places() -> None:
    assert [fault.number for fault in Fault] == list(range(len(Fault)))
    assert Fault.NONE.number == 0
    assert [service.number for service in Service] == [0, 1, 2, 3]


def test_commands() -> None:
    assert command_file(Service.SET_VARIABLE, 3) == f"set-variable.3-{MAGIC_GUID}"
    assert command_data(Fault.LOOP) == b"\x06\0\0\0loop"
