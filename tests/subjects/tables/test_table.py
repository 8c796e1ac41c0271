"""A table's bytes from outside, border by border: the ESRT in recorded runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.damage import PASSED
from support.records import Copy
from support.verdicts import verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED


@pytest.mark.parametrize(
    ("sample", "epoch"),
    [
        ("1-up", 1),
        ("1-loaded", 1),
        ("2-up", 2),
        ("2-loaded", 2),
        ("3-up", 3),
    ],
)
@pytest.mark.parametrize("offset", [0x100, 0x187], ids=["first", "last"])
def test_one_flipped_byte(copy_of: CopyOf, told: Told, sample: str, epoch: int, offset: int) -> None:
    file = f"samples/{sample}-esrt.bin"
    verdict = copy_of(PASSED).flip(file, offset).judge()
    address = 0x39FFF000 + offset
    verdict_is(
        told(verdict),
        FAIL,
        Cause.ESRT_CORRUPT,
        epoch,
        "0x39fff100",
        "136",
        f"{address:#x}",
        file,
        "samples/0-handoff-esrt.bin",
    )


@pytest.mark.parametrize("offset", [0, 0xFF, 0x188, 0xFFF])
def test_flipped_canary(copy_of: CopyOf, told: Told, offset: int) -> None:
    verdict = copy_of(PASSED).flip("samples/2-up-esrt.bin", offset).judge()
    verdict_is(
        told(verdict),
        FAIL,
        Cause.CANARY_DAMAGED,
        2,
        f"{0x39FFF000 + offset:#x}",
        "samples/2-up-esrt.bin",
    )


def test_canary_under_a_segment(copy_of: CopyOf, told: Told) -> None:
    """A segment that ends between the canary and the table is named, although it does not cover the table."""
    copy = copy_of("esrt-kexec-load-6.1").heal("samples/2-up-esrt.bin").flip("samples/2-up-esrt.bin", 0)
    loaded = str(copy.only(kind="loaded")["body_file"])
    copy.edit(loaded, "memsz = 0x2cc8000", "memsz = 0x16c7080")
    verdict_is(told(copy.judge()), FAIL, Cause.CANARY_DAMAGED, 2, "segment[3]", f"@{loaded}")


@pytest.mark.parametrize("offset", [0x100, 0], ids=["table", "canary"])
def test_wrong_at_the_handoff_is_no_verdict_on_the_kernel(copy_of: CopyOf, offset: int) -> None:
    verdict = copy_of(PASSED).flip("samples/0-handoff-esrt.bin", offset).judge()
    verdict_is(verdict, ERROR, Cause.SETUP_NOT_PROVED, 3, "hand-off")


@pytest.mark.parametrize(("epoch", "point"), [(1, "up"), (1, "loaded"), (2, "up"), (2, "loaded"), (3, "up")])
def test_border_not_sampled(copy_of: CopyOf, told: Told, epoch: int, point: str) -> None:
    verdict = copy_of(PASSED).drop(type="sample", epoch=epoch, point=point).judge()
    verdict_is(told(verdict), ERROR, Cause.MISSING_REPORT, 3)


def test_epoch_that_was_not_up_is_not_passed_over(copy_of: CopyOf, told: Told) -> None:
    """The table's own check says so too, and still looks at the epochs after it."""
    copy = copy_of(PASSED).drop(kind="up", epoch=1)
    table = next(check for check in copy.judge().checks if check.name == "table_intact: esrt")
    assert (table.status, table.cause) == (ERROR, Cause.MISSING_REPORT)
    told(table)
    copy.edit(copy.fact_file(3, "esrt"), "entry1/fw_version=65537", "entry1/fw_version=65538")
    verdict_is(copy.judge(), FAIL, Cause.TABLE_REFUSED, 3)


@pytest.mark.parametrize("kind", ["panic", "reset", "timeout", "qemu-died", "interrupted"])
def test_damage_seen_at_the_end(copy_of: CopyOf, told: Told, kind: str) -> None:
    """What lies in memory after a bad end explains it, or stands although the host then failed."""
    copy = copy_of("esrt-kexec-load-6.1").end_at(2, "kexec jump", kind).sample_again(2, "end", damaged=True)
    verdict_is(told(copy.judge()), FAIL, Cause.ESRT_CORRUPT, 2, "segment[3]")


def test_firmware_that_runs_again_may_use_the_memory(copy_of: CopyOf) -> None:
    copy = copy_of(PASSED).end_at(2, "kexec jump", "back-in-firmware").sample_again(2, "end", damaged=True)
    verdict_is(copy.judge(), FAIL, Cause.BACK_IN_FIRMWARE, 2)


def test_intact_at_a_bad_end_is_not_enough(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of(PASSED).end_at(2, "kexec jump", "timeout").sample_again(2, "end", damaged=False).judge()
    check = next(check for check in verdict.checks if check.name == "table_intact: esrt")
    assert (check.status, check.cause) == (ERROR, Cause.MISSING_REPORT)
    told(check)
