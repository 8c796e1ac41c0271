"""What the agent refuses about the runtime driver, and that nothing is done before it does."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_vm import QEMU, Again, AgentVm
from runtime_vm import plan_text, refusal, runtime_line, with_words

from harness.firmware.build import AgentBinary

pytestmark = [pytest.mark.qemu, pytest.mark.skipif(QEMU is None, reason="no qemu-system-x86_64 on PATH")]


BAD_LINES = {
    "unknown service": (
        runtime_line("set-variable,get-wakeup"),
        "not a runtime service that can be hooked: get-wakeup",
    ),
    "no service": (runtime_line("set-variable,,get-time"), "not a runtime service that can be hooked: $"),
    "hooked twice": (runtime_line("get-time,get-time"), "hooked twice: get-time"),
    "unknown fault": (runtime_line(arm="get-time:explode"), "not a fault: explode"),
    "no fault": (runtime_line(arm="get-time"), "not a fault: $"),
    "fault none": (runtime_line(arm="get-time:none"), "not a fault that this firmware can commit: none"),
    "armed, unknown service": (runtime_line(arm="time:loop"), "not a runtime service that can be hooked: time"),
    "armed, not hooked": (runtime_line("set-variable", arm="get-time:loop"), "armed but not hooked: get-time"),
    "armed twice": (runtime_line(arm="get-time:loop,get-time:undefined-opcode"), "armed twice: get-time"),
    "set-variable armed": (runtime_line(arm="set-variable:loop"), "set-variable cannot be armed"),
    "unknown memattr": (runtime_line(memattr="mend"), "memattr= is none of correct, keep, drop: mend"),
    "memattr missing": ("runtime driver=opt/harness/driver hooks=get-time", "missing key: memattr"),
    "hooks missing": ("runtime driver=opt/harness/driver memattr=drop", "missing key: hooks"),
    "unknown key": (runtime_line() + " place=high", "unknown key: place"),
    "two lines": (runtime_line() + "\n" + runtime_line(), "plan line 4: a second runtime statement"),
    "driver missing": (runtime_line().replace("/driver", "/drivers"), "fw_cfg file is missing: opt/harness/drivers"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_runtime_line(again: Again, given: dict[str, bytes], name: str) -> None:
    line, what = BAD_LINES[name]
    assert re.search(what, refusal(again({**given, "plan": plan_text(line)})))


BAD_DRIVERS = {
    "not an image": (b"not a driver " * 500, "LoadImage refused the runtime driver"),
    "an application": (None, "the runtime driver is not a UEFI runtime driver"),
}


@pytest.mark.parametrize("name", BAD_DRIVERS)
def test_a_bad_driver(again: Again, given: dict[str, bytes], name: str) -> None:
    content, what = BAD_DRIVERS[name]
    assert refusal(again({**given, "driver": content or given["kernel"]})) == what


LACKING = {
    b"N": "this firmware has no runtime service query-variable-info",
    b"P": "firmware's EFI_RT_PROPERTIES_TABLE does not offer query-variable-info",
}


@pytest.fixture
def lacking(build: Callable[..., bytes], tmp_path: Path) -> Path:
    """Starts the agent after it has taken something away from firmware (lacking.c)."""
    path = tmp_path / "lacking.efi"
    path.write_bytes(build("lacking.c", "fw_cfg.c", "frame.c", "image.c", "serial.c", "text.c"))
    return path


@pytest.mark.parametrize("choice", ["keep", "correct"])
def test_firmware_without_memattr(
    lacking: Path, binary: AgentBinary, given: dict[str, bytes], tmp_path: Path, choice: str
) -> None:
    extra = {"agent": binary.path.read_bytes(), "lack": b"T"}
    with AgentVm(lacking, tmp_path / "vm", {**with_words(given, memattr=choice), **extra}) as vm:
        vm.wait("ready")
        assert vm.go().kind == "error"
        assert vm.frames[-1].fields["what"] == f"memattr={choice}, but the firmware has no Memory Attributes Table"


@pytest.mark.parametrize("how", LACKING)
def test_a_hook_on_a_service_that_firmware_lacks(
    lacking: Path, binary: AgentBinary, given: dict[str, bytes], tmp_path: Path, how: bytes
) -> None:
    agent = binary.path.read_bytes()
    with AgentVm(lacking, tmp_path / "vm", {**given, "agent": agent, "lack": how}) as vm:
        vm.wait("ready")
        assert refusal(vm) == LACKING[how]
    other = plan_text(runtime_line("set-variable,get-time,reset-system"))
    with AgentVm(lacking, tmp_path / "vm2", {**given, "agent": agent, "lack": how, "plan": other}) as vm:
        vm.wait("ready")
        assert vm.go().kind == "handoff", "the services that are there can be hooked"
