"""A kernel without an initrd believes in none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from support.records import Copy
from support.verdicts import check_of, verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
RTPROP, INITRD = "tables-rtprop-6.1", "tables-initrd-7.2"
RAMDISK = "RAMDISK: [mem 0xffe9c7ff41ffed8b-0x185eac8487ffefff]"
NO_PLACE = "Cannot find place for new RAMDISK of size 1762284615264894974"
NO_ROOT = "VFS: Unable to mount root fs on unknown-block(0,0)"


def test_a_kernel_believes_in_a_stale_initrd(copy_of: CopyOf) -> None:
    verdict = copy_of(INITRD).judge()
    words = ("0x1874e48545fffffe bytes at 0xffe9c7ff41ffed8b, just before the kexec", RAMDISK)
    verdict_is(verdict, Status.FAIL, Cause.STALE_INITRD, None, *words)


def without(copy_of: CopyOf) -> Copy:
    """The same run, had the kernel taken no initrd."""
    return print_instead(print_instead(copy_of(INITRD), RAMDISK, ""), NO_PLACE, NO_ROOT)


def print_instead(copy: Copy, old: str, new: str) -> Copy:
    """Other words of the same length on the console, since the journal names places in it."""
    path = copy.path / "console.log"
    console = path.read_bytes()
    assert old.encode() in console
    assert len(new) <= len(old)
    path.write_bytes(console.replace(old.encode(), new.ljust(len(old)).encode()))
    return copy


def test_a_kernel_that_takes_none(copy_of: CopyOf, told: Told) -> None:
    verdict = without(copy_of).judge()
    verdict_is(told(verdict), Status.PASS, None, None)


def test_the_line_alone_is_enough(copy_of: CopyOf) -> None:
    copy = print_instead(copy_of(INITRD), NO_PLACE, NO_ROOT)
    verdict_is(copy.judge(), Status.FAIL, Cause.STALE_INITRD, None, RAMDISK)


def test_the_panic_alone_is_enough(copy_of: CopyOf) -> None:
    copy = print_instead(copy_of(INITRD), RAMDISK, "")
    verdict_is(copy.judge(), Status.FAIL, Cause.STALE_INITRD, None, NO_PLACE)


def test_an_initrd_of_the_first_kernel_is_no_fault(copy_of: CopyOf) -> None:
    copy = without(copy_of)
    copy.print(1, "RAMDISK: [mem 0x3e099000-0x3e53cfff]")
    verdict_is(copy.judge(), Status.PASS, None, None)


@pytest.mark.parametrize("offset", [0, 8], ids=["base", "size"])
def test_words_that_mislead_nobody_prove_nothing(copy_of: CopyOf, told: Told, offset: int) -> None:
    copy, sample = without(copy_of), "samples/1-loaded-initrd.bin"
    data = bytearray((copy.path / sample).read_bytes())
    data[offset : offset + 8] = bytes(8)
    (copy.path / sample).write_bytes(data)
    copy.change({"sha256": hashlib.sha256(data).hexdigest()}, type="sample", file=sample)
    verdict_is(told(copy.judge()), Status.ERROR, Cause.NO_OVERLAP, None)


def test_the_words_must_have_been_read(copy_of: CopyOf, told: Told) -> None:
    copy = without(copy_of).drop(type="sample", subject="initrd", point="loaded")
    verdict_is(told(copy.judge()), Status.ERROR, Cause.MISSING_REPORT, None)


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ((" INITRD=0x3e5f4d18 ", " "), (Status.UNSUPPORTED, Cause.NO_TABLE)),
        ((NO_ROOT, "something else"), (Status.FAIL, Cause.PANIC)),
        (("harness.epoch=2", "harness.epoch=1"), (Status.ERROR, Cause.MISSING_REPORT)),
        (("Linux version 7.2.13", "Linux version 7.2.12"), (Status.ERROR, Cause.MISSING_REPORT)),
    ],
)
def test_it_must_be_that_kernel_and_come_that_far(
    copy_of: CopyOf, told: Told, words: tuple[str, str], verdict: tuple[Status, Cause]
) -> None:
    found = print_instead(without(copy_of), *words).judge()
    verdict_is(found, *verdict, None)
    told(check_of(found, "no_ramdisk"))
