"""The image of the BGRT under Xen."""

from __future__ import annotations

from collections.abc import Callable

from support.records import Copy
from support.verdicts import check_of, verdict_is
from support.words import Told
from support.xen_records import (
    BGRT,
    KEPT_BGRT,
    rewrite,
)

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR = Status.FAIL, Status.ERROR


def test_an_image_that_xen_did_not_take_out(copy_of: CopyOf, told: Told) -> None:
    def pointer(data: bytearray) -> None:
        data[40:48] = (0x3E51E018).to_bytes(8, "little")

    copy = rewrite(copy_of(BGRT), "samples/1-up-bgrt-table.bin", pointer)
    verdict_is(told(copy.judge()), FAIL, Cause.XEN_TABLE_LOST, None, "0x3e51e018")
    copy.edit(copy.fact_file(1, "bgrt"), "absent", "version=1")
    verdict_is(told(copy.judge()), FAIL, Cause.XEN_TABLE_UNPROTECTED, None, "0x3e51e018")


def test_an_image_that_dom0_shows_although_there_is_none(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(BGRT)
    copy.edit(copy.fact_file(1, "bgrt"), "absent", "version=1")
    verdict_is(told(copy.judge()), FAIL, Cause.TABLE_REFUSED, None)


def test_a_dom0_that_reserves_what_is_not_its_own(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of(KEPT_BGRT).judge()
    verdict_is(told(verdict), FAIL, Cause.XEN_RESERVE, None, "WARNING", "efi_mem_reserve")
    assert check_of(verdict, "xen_table").status is Status.PASS


def test_a_kept_image_that_changes(copy_of: CopyOf) -> None:
    verdict = copy_of(KEPT_BGRT).flip("samples/1-up-bgrt.bin", 0x100).judge()
    assert check_of(verdict, "xen_table").cause is Cause.XEN_TABLE_LOST
