"""A reset without a word: what the record says of the kernel's place."""

from __future__ import annotations

from collections.abc import Callable

from support.records import Copy
from support.verdicts import verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
MADE = "placement-made-map"
RESET = "placement-kexec-low-6.1"
FAIL, ERROR = Status.FAIL, Status.ERROR


def test_a_kexec_below_the_preferred_address(copy_of: CopyOf, told: Told) -> None:
    verdict_is(told(copy_of(RESET).judge()), FAIL, Cause.TRIPLE_FAULT, 2, "0x4378000")


def test_without_qemu_s_log_the_same_is_a_silent_reset(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(RESET)
    (copy.path / "qemu.log").write_text("CPU Reset (CPU 0)\n")
    verdict_is(told(copy.judge()), FAIL, Cause.SILENT_RESET, 2, "0xc00000")


def test_a_reset_in_the_stub(copy_of: CopyOf, told: Told) -> None:
    """As the report of 2019 describes it: StartImage, and the machine starts again."""
    copy = copy_of(MADE).end_at(1, "stub", "reset", "the machine was reset (QMP SHUTDOWN, guest-reset)")
    words = "reset in the EFI stub without a word: as when the kernel is placed below LOAD_PHYSICAL_ADDR"
    verdict = copy.judge()
    verdict_is(told(verdict), FAIL, Cause.SILENT_RESET, 1)
    assert verdict.headline.startswith(words)


def test_a_reset_in_the_stub_after_words_of_its_own_is_another(copy_of: CopyOf) -> None:
    copy = copy_of(MADE).end_at(1, "stub", "reset", "the machine was reset")
    (copy.path / "console.log").write_bytes((copy.path / "console.log").read_bytes() + b"EFI stub: ERROR: oh\r\n")
    assert "LOAD_PHYSICAL_ADDR" not in copy.judge().headline
