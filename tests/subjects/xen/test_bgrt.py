"""The image of the BGRT under Xen."""

from __future__ import annotations

from collections.abc import Callable

from support.records import Copy
from support.verdicts import check_of, verdict_is
from support.xen_records import (
    BGRT,
    KEPT_BGRT,
    rewrite,
)

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]


FAIL, ERROR = Status.FAIL, Status.ERROR


def test_an_image_that_xen_did_not_take_out(copy_of: CopyOf) -> None:
    def pointer(data: bytearray) -> None:
        data[40:48] = (0x3E51E018).to_bytes(8, "little")

    copy = rewrite(copy_of(BGRT), "samples/1-up-bgrt-table.bin", pointer)
    verdict_is(copy.judge(), FAIL, Cause.XEN_TABLE_LOST, None, "left the BGRT pointing to 0x3e51e018")
    copy.edit(copy.fact_file(1, "bgrt"), "absent", "version=1")
    verdict_is(copy.judge(), FAIL, Cause.XEN_TABLE_UNPROTECTED, None, "dom0 shows a BGRT image from 0x3e51e018")


def test_an_image_that_dom0_shows_although_there_is_none(copy_of: CopyOf) -> None:
    copy = copy_of(BGRT)
    copy.edit(copy.fact_file(1, "bgrt"), "absent", "version=1")
    verdict_is(copy.judge(), FAIL, Cause.TABLE_REFUSED, None, "the BGRT has no image any more")


def test_a_dom0_that_reserves_what_is_not_its_own(copy_of: CopyOf) -> None:
    verdict = copy_of(KEPT_BGRT).judge()
    verdict_is(verdict, FAIL, Cause.XEN_RESERVE, None, "WARNING in efi_mem_reserve")
    assert check_of(verdict, "xen_table").status is Status.PASS


def test_a_kept_image_that_changes(copy_of: CopyOf) -> None:
    verdict = copy_of(KEPT_BGRT).flip("samples/1-up-bgrt.bin", 0x100).judge()
    assert check_of(verdict, "xen_table").cause is Cause.XEN_TABLE_LOST
