"""A table that Xen moves, keeps or leaves to dom0: each outcome is seen to go red."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.records import Copy
from support.verdicts import check_of, verdict_is
from support.words import Told
from support.xen_records import (
    DIED,
    LOST,
    MAPBS,
    MOVED,
    REFUSED,
    UNLISTED,
    UNUSABLE,
    console,
    rewrite,
)

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR = Status.FAIL, Status.ERROR
ESRT_GUID = bytes.fromhex("63a222b1 6136 684f 9929 78f8b0d62180")


def pointing_to(address: int) -> Callable[[bytearray], None]:
    """The ESRT's entry of the configuration table, changed."""

    def change(data: bytearray) -> None:
        at = data.index(ESRT_GUID) + 16
        data[at : at + 8] = address.to_bytes(8, "little")

    return change


def repointed(copy: Copy, address: int) -> Copy:
    """As if Xen had left, or made, the ESRT's entry so."""
    for border in ("xen", "dom0", "up"):
        rewrite(copy, f"samples/1-{border}-config-tables.bin", pointing_to(address))
    return copy


def test_a_table_that_dom0_takes_from_memory_that_is_not_kept(copy_of: CopyOf, told: Told) -> None:
    copy = console(copy_of(REFUSED), UNUSABLE.encode(), b"RTPROP=0x3bfff100 ".ljust(len(UNUSABLE)))
    verdict_is(
        told(copy.judge()),
        FAIL,
        Cause.XEN_TABLE_UNPROTECTED,
        None,
        "RTPROP",
        "0x3bfff100",
        "EfiBootServicesData",
    )


def test_a_dom0_that_dies_of_a_table(copy_of: CopyOf) -> None:
    verdict = copy_of(DIED).judge()
    verdict_is(verdict, FAIL, Cause.XEN_TABLE_UNPROTECTED, None, "efi_config_parse_tables")
    assert check_of(verdict, "run").cause is Cause.DOM0_CRASHED


def test_a_table_that_is_not_refused_because_it_is_not_named(copy_of: CopyOf, told: Told) -> None:
    copy = console(copy_of(REFUSED), UNUSABLE.encode(), b" " * len(UNUSABLE))
    verdict_is(told(copy.judge()), ERROR, Cause.MISSING_REPORT, None, "RTPROP")


def test_nothing_to_refuse(copy_of: CopyOf, told: Told) -> None:
    line = b"000003bfff000-000003bffffff type=4"
    copy = console(copy_of(REFUSED), line, line.replace(b"type=4", b"type=9"))
    verdict_is(told(copy.judge()), ERROR, Cause.SETUP_NOT_PROVED, None)


def test_a_copy_that_is_not_whole(copy_of: CopyOf, told: Told) -> None:
    verdict_is(told(copy_of(LOST).judge()), FAIL, Cause.XEN_TABLE_LOST, None, "0x78", "0x84", "0x88", "70 74 61 6c")


@pytest.mark.parametrize("offset", [0, 0x87])
def test_one_byte_of_the_copy(copy_of: CopyOf, told: Told, offset: int) -> None:
    copy = copy_of(MOVED).flip("samples/1-up-esrt-copy.bin", offset)
    verdict_is(told(copy.judge()), FAIL, Cause.XEN_TABLE_LOST, None, f"{offset:#x}", f"{offset:#x}", "0x88")


def test_a_table_that_was_not_moved(copy_of: CopyOf, told: Told) -> None:
    copy = repointed(copy_of(MOVED), 0x3BFFF100)
    verdict_is(told(copy.judge()), FAIL, Cause.XEN_TABLE_UNPROTECTED, None, "0x3bfff100", "EfiBootServicesData")


def test_a_table_that_was_moved_to_memory_that_is_not_kept(copy_of: CopyOf, told: Told) -> None:
    copy = repointed(copy_of(MOVED), 0x02000000)
    address = b"ESRT=0x3f773018 "
    console(copy, address, b"(SRT=0x3f77301) ")  # dom0 does not name it
    verdict_is(told(copy.judge()), FAIL, Cause.XEN_TABLE_LOST, None, "0x2000000", "EfiConventionalMemory")


def test_a_copy_that_dom0_shows_otherwise(copy_of: CopyOf) -> None:
    copy = copy_of(MOVED)
    copy.edit(copy.fact_file(1, "esrt"), "fw_resource_count=3", "fw_resource_count=2")
    verdict_is(copy.judge(), FAIL, Cause.TABLE_REFUSED, None, "fw_resource_count")


def test_a_copy_that_dom0_calls_unusable(copy_of: CopyOf, told: Told) -> None:
    copy = console(copy_of(MOVED), b" ESRT=0x3f773018 ", b"(ESRT=3 unusable)")
    console(copy, b"(ESRT=3 unusable)", b"(E=0x1  unusable)")
    verdict_is(told(copy.judge()), FAIL, Cause.TABLE_REFUSED, None)


def test_pages_that_stay_while_dom0_dies(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of(MAPBS).judge()
    verdict_is(told(verdict), FAIL, Cause.DOM0_CRASHED, None)
    assert check_of(verdict, "xen_table").status is Status.PASS
    told(check_of(verdict, "xen_table"))
    assert "0x3bfff100" in check_of(verdict, "xen_table").summary


@pytest.mark.parametrize("sample", ["1-xen", "1-dom0", "1-end"])
@pytest.mark.parametrize("offset", [0, 0x100], ids=["canary", "table"])
def test_one_byte_of_pages_that_should_stay(copy_of: CopyOf, told: Told, sample: str, offset: int) -> None:
    verdict = copy_of(MAPBS).flip(f"samples/{sample}-private.bin", offset).judge()
    verdict_is(told(verdict), FAIL, Cause.XEN_TABLE_LOST, None, "0x3bfff100")


def test_pages_that_were_not_looked_at(copy_of: CopyOf) -> None:
    verdict = copy_of(MAPBS).drop(type="sample", point="dom0").judge()
    assert check_of(verdict, "xen_table").cause is Cause.MISSING_REPORT


def test_a_table_that_is_in_no_descriptor(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of(UNLISTED).judge()
    verdict_is(told(verdict), FAIL, Cause.XEN_TABLE_UNPROTECTED, None, "0x3bfff100")
    assert check_of(verdict, "setup").status is Status.PASS


def test_a_table_that_should_be_in_no_descriptor_and_is(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(UNLISTED)
    plan = copy.json("plan.json")
    plan["tables"][0]["listed"] = True
    verdict = copy.edit_json("plan.json", tables=plan["tables"]).judge()
    verdict_is(told(verdict), ERROR, Cause.SETUP_NOT_PROVED, None, "BootServicesData")
