"""Boot services memory is freed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.damage import expecting
from support.records import Copy
from support.verdicts import verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED
LEVELS = "seams-five-levels"
"""Three kernels by kexec_file_load, two CPUs; the second has no5lvl."""


@pytest.fixture
def freed(copy_of: CopyOf) -> Copy:
    return expecting(copy_of(LEVELS), {"boot_services_memory": "freed"})


def say(copy: Copy, kib: int) -> None:
    """Another number of as many digits, so that no place in the console moves."""
    console = copy.path / "console.log"
    data = console.read_bytes()
    assert b"boot services memory: 34016K" in data
    console.write_bytes(data.replace(b"boot services memory: 34016K", b"boot services memory: %dK" % kib))


def test_boot_services_memory_is_freed(freed: Copy) -> None:
    verdict = freed.judge()
    assert verdict.status is Status.PASS
    assert verdict.headline == "the kernel freed 34016 KiB of boot services memory; computed: 34016 KiB"


@pytest.mark.parametrize("kib", [33950, 34090, 10000, 99999])
def test_boot_services_memory_gets_lost(freed: Copy, told: Told, kib: int) -> None:
    say(freed, kib)
    verdict_is(told(freed.judge()), FAIL, Cause.BOOT_SERVICES_LOST, 1)


def test_no_word_of_boot_services_memory(freed: Copy, told: Told) -> None:
    console = freed.path / "console.log"
    console.write_bytes(console.read_bytes().replace(b"Freeing EFI boot", b"Keeping EFI boot"))
    verdict_is(told(freed.judge()), FAIL, Cause.BOOT_SERVICES_LOST, 1, "34016")


def test_what_is_kept_need_not_be_freed(freed: Copy) -> None:
    """A reservation takes its whole descriptor out (memblock_is_region_reserved() asks whether they touch)."""
    fact = freed.path / freed.fact_file(1, "runtime-map")
    fact.write_text("".join(line for line in fact.read_text().splitlines(keepends=True) if "type=0x4" not in line))
    assert freed.judge().headline.endswith("computed: 34024 KiB")


@pytest.mark.parametrize("missing", [{"kind": "memmap"}, {"kind": "fact", "epoch": 1, "name": "runtime-map"}])
def test_boot_services_memory_not_reported(freed: Copy, told: Told, missing: dict[str, Any]) -> None:
    freed.drop(**missing)
    verdict_is(told(freed.judge()), ERROR, Cause.MISSING_REPORT, 1)
