"""What speaks for a run when several things are wrong with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.damage import OOPS, PANIC, PASSED, another_memory_type, hello
from support.records import Copy, Edit
from support.verdicts import verdict_is

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED


def _corrupt(epoch: int) -> Edit:
    return lambda copy: copy.flip(f"samples/{epoch}-up-esrt.bin", 0x100)


def _print(epoch: int, text: str) -> Edit:
    return lambda copy: copy.print(epoch, text)


SEVERAL: dict[str, tuple[list[Edit], Status, Cause, int]] = {
    "damage explains a panic": ([_corrupt(2), _print(2, PANIC)], FAIL, Cause.ESRT_CORRUPT, 2),
    "damage in epoch 2, then a stranger": (
        [_corrupt(2), hello(3, release="5.10.0")],
        FAIL,
        Cause.ESRT_CORRUPT,
        2,
    ),
    "a stranger's memory accuses nobody": (
        [_corrupt(3), hello(2, release="5.10.0")],
        FAIL,
        Cause.WRONG_KERNEL,
        2,
    ),
    "an old kernel's memory accuses nobody": ([_corrupt(2), hello(2, epoch="1")], FAIL, Cause.OLD_KERNEL, 2),
    "memory of another type may be used": ([_corrupt(2), another_memory_type], ERROR, Cause.SETUP_NOT_PROVED, 2),
    "another command line": (
        [_corrupt(2), lambda copy: copy.edit(copy.fact_file(1, "cmdline"), "nokaslr ", "")],
        ERROR,
        Cause.SETUP_NOT_PROVED,
        1,
    ),
    "a panic stays a panic without a proved set-up": ([_print(2, PANIC), another_memory_type], FAIL, Cause.PANIC, 2),
    "refused tells more than an oops": (
        [lambda copy: copy.edit(copy.fact_file(2, "esrt"), "=65537", "=65538"), _print(2, OOPS)],
        FAIL,
        Cause.TABLE_REFUSED,
        2,
    ),
    "panic tells more than a reset": (
        [_print(2, PANIC), lambda copy: copy.end_at(2, "userspace", "reset")],
        FAIL,
        Cause.PANIC,
        2,
    ),
    "a fail stands beside an error": (
        [_corrupt(2), lambda copy: copy.drop(kind="fact", name="kexec-klog", epoch=1)],
        FAIL,
        Cause.ESRT_CORRUPT,
        2,
    ),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_several_at_once(copy_of: CopyOf, case: str) -> None:
    edits, status, cause, epoch = SEVERAL[case]
    copy = copy_of(PASSED)
    for edit in edits:
        edit(copy)
    verdict = copy.judge()
    if case.startswith("memory of another"):
        epoch = verdict.epoch
    verdict_is(verdict, status, cause, epoch)


def test_damage_under_a_parameter_that_is_unknown(copy_of: CopyOf) -> None:
    """The causal control accuses nobody when its knob did nothing; a panic would still be one."""
    copy = copy_of("kexec-add-efi-memmap").flip("samples/2-up-esrt.bin", 0x100)
    verdict_is(copy.judge(), FAIL, Cause.ESRT_CORRUPT, 2)
    copy.print(1, 'Unknown kernel command line parameters "add_efi_memmap", will be passed to user space.')
    verdict_is(copy.judge(), UNSUPPORTED, Cause.NO_CAPABILITY, 2)
    copy.print(2, PANIC)
    verdict_is(copy.judge(), FAIL, Cause.PANIC, 2)
