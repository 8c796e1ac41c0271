"""What is right by itself and cannot be in this machine or beside the other steps is refused, at its place."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from harness.model.base import MisplacedError
from harness.model.scenario import Scenario

KEXEC: dict[str, Any] = {"kexec": {"syscall": "file"}}
CRASH: list[Any] = [{"crash_kernel": {"syscall": "file"}}, {"crash": {"by": "sysrq"}}, {"capture": {}}]
MIB = 2**20


def scenario(*steps: object, **values: object) -> Scenario:
    data = {
        "id": "a/b",
        "why": "x",
        "kernel": "debian-6.1",
        "steps": ["boot", *steps],
        "expect": ["no_crash"],
        **values,
    }
    return Scenario.model_validate(data, strict=False)


def place(*steps: object, **values: object) -> tuple[str | int, ...]:
    """Where the mistake is."""
    with pytest.raises(ValidationError) as caught:
        scenario(*steps, **values)
    (detail,) = caught.value.errors()
    error = detail["ctx"]["error"]
    assert isinstance(error, MisplacedError)
    return error.path


def kexec(pad: int, **more: object) -> dict[str, Any]:
    return {"kexec": {"syscall": "file", "initrd": {"pad": pad}, **more}}


def machine(mib: int) -> dict[str, int]:
    return {"memory": mib * MIB}


def esrt(**where: int) -> dict[str, Any]:
    return {"tables": [{"esrt": where}]}


@pytest.mark.parametrize(
    ("steps", "values", "number"),
    [
        (CRASH, {}, 1),
        (CRASH, {"cmdline": ["nocrashkernel=1", "crash=1"]}, 1),
        ([{"kexec": {"syscall": "file", "cmdline": ["quiet"]}}, *CRASH], {}, 2),
        ([{"crash_kernel": {"syscall": "file", "cmdline": ["crashkernel=1M"]}}, *CRASH[1:]], {}, 1),
    ],
    ids=["none", "other words", "none after a kexec", "on the capture kernel only"],
)
def test_crash_kernel_without_crashkernel(steps: list[Any], values: dict[str, Any], number: int) -> None:
    assert place(*steps, **values) == ("steps", number)


def test_crashkernel_of_a_kernel_before_the_running_one() -> None:
    steps = [{"boot": {"cmdline": ["crashkernel=192M"]}}, KEXEC, *CRASH]
    data = {"id": "a/b", "why": "x", "kernel": "k", "steps": steps, "expect": ["no_crash"]}
    with pytest.raises(ValidationError, match="crashkernel="):
        Scenario.model_validate(data, strict=False)


@pytest.mark.parametrize(
    ("steps", "values"),
    [
        (CRASH, {"cmdline": ["crashkernel=192M"]}),
        (CRASH, {"cmdline": ["quiet crashkernel=128M,high"]}),
        ([{"kexec": {"syscall": "file", "cmdline": ["crashkernel=192M"]}}, *CRASH], {}),
    ],
)
def test_crash_kernel_with_crashkernel(steps: list[Any], values: dict[str, Any]) -> None:
    assert scenario(*steps, **values).steps


def test_a_pad_that_memory_cannot_hold() -> None:
    assert place(kexec(400 * MIB), machine=machine(512)) == ("steps", 1, "kexec", "initrd", "pad")
    assert place(KEXEC, kexec(225 * MIB), machine=machine(512)) == ("steps", 2, "kexec", "initrd", "pad")
    assert scenario(kexec(224 * MIB), machine=machine(512)).kexecs[0].initrd.pad == 224 * MIB
    assert scenario(kexec(400 * MIB), machine=machine(1024)).kexecs[0].initrd.pad == 400 * MIB
    crash = [{"crash_kernel": {"syscall": "file", "initrd": {"pad": 400 * MIB}}}, *CRASH[1:]]
    found = place(*crash, machine=machine(512), cmdline=["crashkernel=192M"])
    assert found == ("steps", 1, "crash_kernel", "initrd", "pad")


@pytest.mark.parametrize(
    ("mib", "where", "good"),
    [
        (512, {"at": 2**30}, False),
        (512, {"at": 0x2000_0000}, False),
        (512, {"at": 0x1FFF_F000}, True),
        (512, {"below": 2**30}, False),
        (512, {"below": 0x2000_1000}, False),
        (512, {"below": 0x2000_0000}, True),
        (512, {"below": 0}, False),
        (4096, {"at": 3 * 2**30}, False),
        (4096, {"at": 4 * 2**30}, True),
        (4096, {"below": 4 * 2**30}, True),
        (4096, {"below": 7 * 2**30}, False),
    ],
)
def test_a_table_in_the_guests_memory(mib: int, where: dict[str, int], good: bool) -> None:
    if good:
        assert scenario(machine=machine(mib), firmware=esrt(**where)).firmware.tables
    else:
        (key,) = where
        found = place(machine=machine(mib), firmware=esrt(**where))
        assert found == ("firmware", "tables", 0, "esrt", key)


def test_kernels_are_put_into_memory() -> None:
    at = {"memory": {"kernel_at": 0x2000_0000}}
    assert place(machine=machine(512), firmware=at) == ("firmware", "memory", "kernel_at")
    assert scenario(machine=machine(1024), firmware=at).firmware.memory
    placed = [{"kernel_placed": {"at_or_above": 0x2000_0000}}]
    assert place(machine=machine(512), expect=placed) == ("expect", 0, "kernel_placed", "at_or_above")
    assert scenario(machine=machine(1024), expect=placed).expect
