"""Each knob of a scenario is shown to have taken effect."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.damage import PASSED, another_memory_type
from support.records import Copy, Edit
from support.verdicts import verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED


def _without_guid(copy: Copy) -> None:
    name = str(copy.only(kind="systab")["body_file"])
    lines = copy.read(name).splitlines(keepends=True)
    (copy.path / name).write_text("".join(line for line in lines if not line.startswith("b122a263")))


def _plan_table(**values: object) -> Edit:
    def edit(copy: Copy) -> None:
        tables = copy.json("plan.json")["tables"]
        copy.edit_json("plan.json", tables=[{**tables[0], **values}])

    return edit


SETUPS: dict[str, tuple[Edit, Cause]] = {
    "memory-type": (another_memory_type, Cause.SETUP_NOT_PROVED),
    "no-guid": (_without_guid, Cause.SETUP_NOT_PROVED),
    "other-address": (
        lambda copy: copy.edit(str(copy.only(kind="systab")["body_file"]), "0x39fff100", "0x39ffe100"),
        Cause.SETUP_NOT_PROVED,
    ),
    "not-below": (_plan_table(below=0x39FFF000), Cause.SETUP_NOT_PROVED),
    "not-at": (_plan_table(below=None, at=0x39FFE000), Cause.SETUP_NOT_PROVED),
    "no-systab": (lambda copy: copy.drop(kind="systab"), Cause.MISSING_REPORT),
    "no-memmap": (lambda copy: copy.drop(kind="memmap"), Cause.MISSING_REPORT),
    "no-handoff": (lambda copy: copy.drop(kind="handoff"), Cause.MISSING_REPORT),
    "no-sample": (
        lambda copy: copy.drop(type="sample", point="handoff"),
        Cause.MISSING_REPORT,
    ),
    "other-syscall": (
        lambda copy: copy.change({"fields": {"syscall": "load"}}, kind="loaded", epoch=2),
        Cause.SETUP_NOT_PROVED,
    ),
}


@pytest.mark.parametrize("case", SETUPS)
def test_setup(copy_of: CopyOf, told: Told, case: str) -> None:
    edit, cause = SETUPS[case]
    copy = copy_of(PASSED)
    edit(copy)
    verdict_is(told(copy.judge()), ERROR, cause, 3)


def test_unknown_parameter(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of("kexec-add-efi-memmap")
    number = copy.print(1, 'Unknown kernel command line parameters "add_efi_memmap x=1", will be passed to user space.')
    verdict_is(
        told(copy.judge()),
        UNSUPPORTED,
        Cause.NO_CAPABILITY,
        2,
        "add_efi_memmap",
        f"console.log:{number}",
    )


def test_another_unknown_parameter_is_nobodys_business(copy_of: CopyOf) -> None:
    copy = copy_of("kexec-add-efi-memmap")
    copy.print(1, 'Unknown kernel command line parameters "nonsense", will be passed to user space.')
    assert copy.judge().status is Status.PASS
