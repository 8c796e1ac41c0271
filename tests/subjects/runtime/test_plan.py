"""What a plan gets for steps about runtime services."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.synthetic import kernel, plan, prepared, scenario

from harness.errors import InputError
from harness.model.base import StepValue
from harness.model.plan import Plan
from harness.model.words.driver import Fault, FirmwareArch, MemattrChoice, Service
from harness.model.words.runtime import RuntimeStep
from harness.plan.planner import Prepared
from harness.subjects.runtime.plan import RuntimeDriver

DRIVER = RuntimeDriver(Path("/srv/cache/driver.efi"), "1" * 64, {"hook_set_variable": 0x12FD})
EXPECT = [{"no_crash": True}]


def having(kernels: int = 1, arch: FirmwareArch = FirmwareArch.X64, smm: bool = False) -> Prepared:
    made = prepared([kernel()] * kernels)
    firmware = made.firmware.model_copy(update={"arch": arch, "smm": smm})
    return replace(made, driver=DRIVER, firmware=firmware)


def planned(*steps: Any, kernels: int = 1, firmware: Any = None, arch: FirmwareArch = FirmwareArch.X64) -> Plan:
    of = scenario(steps=[{"boot": {}}, *steps], firmware=firmware or {}, expect=EXPECT)
    return plan(of, having(kernels, arch))


def test_each_step_is_of_its_epoch() -> None:
    made = planned(
        {"runtime": {"call": "set-variable"}},
        "alive",
        {"kexec_refused": {"syscall": "load"}},
        {"kexec": {"syscall": "file"}},
        {"efivars": {"round_trips": 7}},
        {"runtime": {"call": "get-time", "fault": "loop", "wait_s": 9}},
        {"reboot": {"by": "efi", "fault": "loop"}},
        kernels=2,
    )
    assert [epoch for epoch, _ in made.steps(StepValue)] == [0, 1, 1, 1, 1, 2, 2, 2]
    (first, _), (second, call) = made.steps(RuntimeStep)
    assert (first, second, call.runtime.fault, call.runtime.wait_s) == (1, 2, Fault.LOOP, 9)
    assert made.payloads[0].serial == "kernel0"  # which alive reads; it needs no disk of its own
    assert Plan.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        ({"runtime": {"call": "set-variable"}}, True),
        ({"efivars": {"round_trips": 1}}, True),
        ({"reboot": {"by": "efi", "fault": "loop"}}, True),
        ("page_tables", True),
        ("stress", True),
        ("alive", False),
        ("reboot", False),
    ],
)
def test_the_driver_is_there_when_a_step_wants_it(step: Any, wanted: bool) -> None:
    made = planned(step)
    assert (made.runtime is not None) == wanted
    assert any("opt/harness/driver" in word for word in made.argv) == wanted
    if made.runtime is not None:
        assert (made.runtime.driver, made.runtime.driver_sha256) == (DRIVER.path, DRIVER.sha256)
        assert (made.runtime.hooks, made.runtime.memattr) == (tuple(Service), MemattrChoice.CORRECT)
        assert made.runtime.symbols == DRIVER.symbols


def test_the_driver_is_as_asked_for() -> None:
    request = {
        "hooks": ["set-variable", "reset-system"],
        "memattr": "drop",
        "armed": [{"service": "reset-system", "fault": "loop"}],
    }
    made = planned(firmware={"runtime": request}).runtime
    assert made is not None
    assert (made.hooks, made.memattr) == ((Service.SET_VARIABLE, Service.RESET_SYSTEM), MemattrChoice.DROP)
    assert made.armed == {Service.RESET_SYSTEM: Fault.LOOP}


@pytest.mark.parametrize(
    "steps",
    [
        [{"runtime": {"call": "set-variable", "fault": "non-canonical"}}],
        [{"reboot": {"by": "efi", "fault": "non-canonical"}}],
    ],
)
def test_a_fault_that_32_bit_firmware_has_not_is_refused(steps: list[Any]) -> None:
    assert planned(*steps).runtime is not None
    with pytest.raises(InputError, match="32-bit firmware cannot commit the fault non-canonical"):
        planned(*steps, arch=FirmwareArch.IA32)


def test_the_kernel_that_resets_is_told_how() -> None:
    made = planned({"kexec": {"syscall": "file"}}, {"reboot": {"by": "efi"}}, kernels=2)
    assert ["reboot=efi" in epoch.cmdline.split() for epoch in made.epochs] == [False, True]
    assert "reboot=" not in planned("reboot").epochs[0].cmdline


def test_alive_has_a_disk_to_read() -> None:
    assert planned("reboot").payloads == ()
    (disk,) = planned("alive").payloads
    assert (disk.serial, disk.path.name, disk.size_bytes) == ("initrd1", "initrd-plain-tiny-6.1", 5_000_000)


def test_firmware_with_smm_gets_a_machine_with_smm() -> None:
    of = scenario(steps=[{"boot": {}}], firmware={}, expect=EXPECT)
    with_smm, without = plan(of, having(smm=True)).argv, plan(of, having()).argv
    assert "q35,smm=on" in with_smm
    assert "driver=cfi.pflash01,property=secure,value=on" in with_smm
    assert "q35,smm=off" in without
    assert not any("property=secure" in word for word in without)
