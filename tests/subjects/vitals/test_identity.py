"""Each epoch is a new boot of its planned kernel."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.damage import PASSED, hello
from support.records import Copy, Edit
from support.verdicts import verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED


def _boot_id(copy: Copy, epoch: int) -> str:
    return str(copy.only(kind="hello", epoch=epoch)["fields"]["boot_id"])


def second_hello(copy: Copy) -> None:
    hello = copy.only(kind="hello", epoch=2)
    again = {**hello, "fields": {**hello["fields"], "boot_id": "11111111-2222-3333-4444-555555555555"}}
    entries = copy.entries
    entries.insert(entries.index(hello) + 1, again)
    copy.entries = entries


IDENTITIES: dict[str, tuple[Edit, Status, Cause]] = {
    "same-boot-id": (
        lambda copy: copy.change({"fields": {"boot_id": _boot_id(copy, 1)}}, kind="hello", epoch=2),
        FAIL,
        Cause.OLD_KERNEL,
    ),
    "old-epoch-number": (hello(2, epoch="1"), FAIL, Cause.OLD_KERNEL),
    "other-release": (
        hello(2, release="6.1.0-55-amd64"),
        FAIL,
        Cause.WRONG_KERNEL,
    ),
    "other-build": (
        lambda copy: copy.edit(str(copy.only(kind="hello", epoch=2)["body_file"]), "2026-11-16", "2026-11-15"),
        FAIL,
        Cause.WRONG_KERNEL,
    ),
    "not-by-kexec": (hello(2, loader="0x21"), FAIL, Cause.OLD_KERNEL),
    "booted-twice": (second_hello, FAIL, Cause.BOOT_LOOP),
    "cmdline": (
        lambda copy: copy.edit(copy.fact_file(2, "cmdline"), "panic=0", "panic=1"),
        ERROR,
        Cause.SETUP_NOT_PROVED,
    ),
    "hello-gone": (
        lambda copy: copy.drop(kind="hello", epoch=2),
        ERROR,
        Cause.MISSING_REPORT,
    ),
    "hello-lacks-boot-id": (hello(2, boot_id=""), ERROR, Cause.MISSING_REPORT),
    "cmdline-gone": (
        lambda copy: copy.drop(kind="fact", epoch=2, name="cmdline"),
        ERROR,
        Cause.MISSING_REPORT,
    ),
    "up-gone": (
        lambda copy: copy.drop(kind="up", epoch=2),
        ERROR,
        Cause.MISSING_REPORT,
    ),
}


@pytest.mark.parametrize("case", IDENTITIES)
def test_identity(copy_of: CopyOf, told: Told, case: str) -> None:
    edit, status, cause = IDENTITIES[case]
    copy = copy_of(PASSED)
    edit(copy)
    verdict_is(told(copy.judge()), status, cause, 2)


def test_first_kernel_by_a_kexec(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(PASSED)
    hello(1, loader="0xd0")(copy)
    verdict_is(told(copy.judge()), FAIL, Cause.OLD_KERNEL, 1)


def test_last_epoch_never_reported(copy_of: CopyOf) -> None:
    """A journal that says complete, and holds only two of three epochs."""
    copy = copy_of("esrt-no-table")
    copy.drop(kind="hello", epoch=1)
    verdict_is(copy.judge(), ERROR, Cause.MISSING_REPORT, 1)
