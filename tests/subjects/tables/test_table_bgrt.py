"""A BGRT that the EFI agent has installed: a recorded run, and what the judge makes of what goes wrong in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.records import Copy
from support.verdicts import check_of, verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
RUN = "tables-bgrt-kexec-load"
IMAGE = 0x100


def healed(copy_of: CopyOf) -> Copy:
    """As if the kernel of epoch 2 had found the image as it was, and shown it."""
    copy = copy_of(RUN).heal("samples/2-up-bgrt.bin")
    for name in ("bgrt", "acpi-bgrt"):
        (copy.path / copy.fact_file(2, name)).write_bytes((copy.path / copy.fact_file(1, name)).read_bytes())
    return copy


def test_the_loss(copy_of: CopyOf, told: Told) -> None:
    verdict_is(
        told(copy_of(RUN).judge()),
        Status.FAIL,
        Cause.BGRT_CORRUPT,
        2,
        "0x39ff9100",
        "segment[3]",
        "0x36931000-0x3a9fffff",
        "kexec_load",
        "efi_bgrt",
        "BMP",
        "0x0",
    )


def test_without_the_loss_it_passes(copy_of: CopyOf, told: Told) -> None:
    verdict = told(healed(copy_of).judge())
    assert verdict.status is Status.PASS
    told(check_of(verdict, "table_intact"))
    told(check_of(verdict, "setup"))


@pytest.mark.parametrize("offset", [0, IMAGE - 1, IMAGE + 27702, 7 * 4096 - 1])
def test_a_canary(copy_of: CopyOf, told: Told, offset: int) -> None:
    copy = healed(copy_of).flip("samples/2-up-bgrt.bin", offset)
    verdict_is(told(copy.judge()), Status.FAIL, Cause.CANARY_DAMAGED, 2, f"{0x39FF9000 + offset:#x}")


@pytest.mark.parametrize("offset", [IMAGE, IMAGE + 27701])
def test_a_byte_of_the_image(copy_of: CopyOf, told: Told, offset: int) -> None:
    copy = healed(copy_of).flip("samples/1-loaded-bgrt.bin", offset)
    verdict_is(told(copy.judge()), Status.FAIL, Cause.BGRT_CORRUPT, 1, "27702")


def test_sysfs_shows_another_image(copy_of: CopyOf, told: Told) -> None:
    copy = healed(copy_of)
    copy.edit(copy.fact_file(2, "bgrt"), "image_sha256=", "image_sha256=00")
    verdict_is(told(copy.judge()), Status.FAIL, Cause.TABLE_REFUSED, 2, "256", "00")


def test_the_kernel_took_firmware_s_bgrt(copy_of: CopyOf, told: Told) -> None:
    """With two of them sysfs shows BGRT1 and BGRT2, so that there is no file BGRT."""
    copy = healed(copy_of)
    (copy.path / copy.fact_file(1, "acpi-bgrt")).write_bytes(b"")
    verdict_is(told(copy.judge()), Status.FAIL, Cause.TABLE_REFUSED, 1)


def test_the_agent_installed_no_acpi_table(copy_of: CopyOf, told: Told) -> None:
    copy = healed(copy_of).change({"fields": {"acpi": "XXXX"}}, kind="table")
    verdict_is(told(copy.judge()), Status.ERROR, Cause.SETUP_NOT_PROVED, 2)


def test_another_bgrt_comes_first(copy_of: CopyOf, told: Told) -> None:
    copy = healed(copy_of).drop(type="sample", point="handoff")
    note = "bgrt: the agent has installed it at 0x1-0x2, but the first one in firmware's tables is 0x3-0x4"
    entry = {"type": "note", "t_s": 0.0, "epoch": 0, "text": note}
    copy.entries = [entry, *copy.entries]
    verdict_is(told(copy.judge()), Status.ERROR, Cause.MISSING_REPORT, 2)


FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED


def test_bgrt_image(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of("bgrt-kexec-load").flip("samples/1-up-bgrt.bin", 5).judge()
    verdict_is(told(verdict), FAIL, Cause.BGRT_CORRUPT, 1, "0x3e521018", "0x3e52101d")
