"""Was it Xen, the right one, and as planned?"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.damage import expecting
from support.records import Copy, Edit
from support.verdicts import check_of, said, verdict_is
from support.words import Told
from support.xen_records import (
    KEXEC,
    MAPBS,
    REFUSED,
    UNUSABLE,
    console,
)

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR = Status.FAIL, Status.ERROR

NOT_PROVED: dict[str, tuple[bytes, bytes]] = {
    "another version": (b"(XEN) Xen version 4.17.7", b"(XEN) Xen version 4.18.7"),
    "other options": (b"loglvl=all guest", b"loglvl=err guest"),
    "bare hardware": (b"kernel on Xen", b"kernel on you"),
}


@pytest.mark.parametrize("name", NOT_PROVED)
def test_a_hypervisor_that_is_not_proved(copy_of: CopyOf, told: Told, name: str) -> None:
    old, new = NOT_PROVED[name]
    verdict_is(told(console(copy_of(REFUSED), old, new).judge()), ERROR, Cause.SETUP_NOT_PROVED, None)


def _as_if_mapbs(copy: Copy) -> None:
    plan = copy.json("plan.json")
    copy.edit_json("plan.json", hypervisor={**plan["hypervisor"], "mapbs": True})


def _no_map(copy: Copy) -> None:
    console(copy, b" type=", b" kind=")


def _no_tables(copy: Copy) -> None:
    copy.drop(subject="config-tables", point="up").drop(subject="config-tables", point="dom0")
    copy.drop(subject="config-tables", point="xen")


def _other_firmware(copy: Copy) -> None:
    copy.flip("samples/0-handoff-config-tables.bin", 16)


def _changed_later(copy: Copy) -> None:
    copy.flip("samples/1-dom0-config-tables.bin", 16)


LACKING: dict[str, tuple[Edit, Cause]] = {
    "-mapbs that shows nowhere": (_as_if_mapbs, Cause.SETUP_NOT_PROVED),
    "no map": (_no_map, Cause.MISSING_REPORT),
    "another table at the hand-off": (
        _other_firmware,
        Cause.SETUP_NOT_PROVED,
    ),
    "a table that changes": (_changed_later, Cause.SETUP_NOT_PROVED),
    "no configuration table": (_no_tables, Cause.MISSING_REPORT),
}


@pytest.mark.parametrize("name", LACKING)
def test_what_a_verdict_needs(copy_of: CopyOf, told: Told, name: str) -> None:
    edit, cause = LACKING[name]
    copy = copy_of(REFUSED)
    edit(copy)
    verdict_is(told(copy.judge()), ERROR, cause, None)


def test_xen_panics(copy_of: CopyOf, told: Told) -> None:
    old = b"(XEN) Hardware Dom0 halted: halting"
    copy = console(copy_of(MAPBS), old, b"(XEN) Panic on CPU 0:\n(XEN) It is.".ljust(len(old)))
    copy.edit_json("end.json", detail="Xen: Panic on CPU 0:")
    verdict_is(told(copy.judge()), FAIL, Cause.XEN_PANIC, None)


def test_a_kexec_that_xen_does(copy_of: CopyOf) -> None:
    verdict = copy_of(KEXEC).judge()
    assert verdict.status is Status.PASS, said(verdict)


def test_a_kexec_of_which_xen_says_nothing(copy_of: CopyOf, told: Told) -> None:
    copy = console(copy_of(KEXEC), b"(XEN) Executing kexec image", b"(XEN) Executing some ima.. ")
    verdict_is(told(copy.judge()), ERROR, Cause.STALLED_CONSOLE, None)


def test_xen_on_32_bit_firmware(copy_of: CopyOf) -> None:
    words = "the EFI agent reports: the kernel has no entry point for this firmware (CONFIG_EFI_MIXED)"
    verdict = copy_of(REFUSED).end_at(1, "stub", "guest-error", words).judge()
    run = check_of(verdict, "run")
    assert (run.status, run.cause) == (Status.UNSUPPORTED, Cause.NO_CAPABILITY)
    assert run.hint == "xen.efi is for 64-bit firmware: use ovmf-x64."


# All that dom0 takes


@pytest.fixture
def protected(copy_of: CopyOf) -> Copy:
    return expecting(copy_of(REFUSED), {"xen_tables": "protected"})


def test_all_that_dom0_takes_is_kept(protected: Copy, told: Told) -> None:
    verdict = told(protected.judge())
    assert verdict.status is Status.PASS
    assert "RTPROP" in told(check_of(verdict, "xen_tables")).summary


def test_a_table_that_dom0_takes_from_memory_that_is_not_kept(protected: Copy, told: Told) -> None:
    console(protected, UNUSABLE.encode(), b"RTPROP=0x3bfff100 ".ljust(len(UNUSABLE)))
    verdict_is(told(protected.judge()), FAIL, Cause.XEN_TABLE_UNPROTECTED, 1, "RTPROP", "EfiBootServicesData")


@pytest.mark.parametrize(
    ("old", "new"), [(b" type=", b" kind="), (b"efi: ", b"ifi: ")], ids=["no map", "no list of tables"]
)
def test_what_dom0_takes_is_not_known(protected: Copy, told: Told, old: bytes, new: bytes) -> None:
    check = told(check_of(console(protected, old, new).judge(), "xen_tables"))
    assert (check.status, check.cause) == (ERROR, Cause.MISSING_REPORT)
