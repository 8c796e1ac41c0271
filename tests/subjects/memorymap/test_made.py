"""Did the kernel get that memory map at all?"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable

import pytest
from support.records import Copy
from support.verdicts import check_of, said, verdict_is
from support.words import Told

from harness.model.causes import Cause, Status
from harness.model.verdict import Check, Verdict
from harness.model.words.memorymap import RangeType

CopyOf = Callable[[str], Copy]
MADE = "placement-made-map"
FAIL, ERROR = Status.FAIL, Status.ERROR


def descriptor(copy: Copy, kind: str, start: int, new_type: int) -> Copy:
    """Another type for the descriptor that begins there."""
    path = copy.path / copy.only(type="frame", kind=kind)["body_file"]
    data = bytearray(path.read_bytes())
    at = next(n for n in range(0, len(data), 48) if struct.unpack_from("<Q", data, n + 8)[0] == start)
    struct.pack_into("<I", data, at, new_type)
    path.write_bytes(data)
    return copy


@pytest.mark.parametrize(
    ("start", "new_type"),
    [
        (0x1000000, 4),
        (0x8000000, 7),
        (0x18000000, 0),
    ],
)
def test_a_range_of_another_type(copy_of: CopyOf, told: Told, start: int, new_type: int) -> None:
    verdict = descriptor(copy_of(MADE), "memmap", start, new_type).judge()
    verdict_is(told(verdict), ERROR, Cause.SETUP_NOT_PROVED, None)


def test_a_hole_that_is_none(copy_of: CopyOf, told: Told) -> None:
    """The descriptor behind the hole begins a page earlier."""
    copy = copy_of(MADE)
    path = copy.path / copy.only(type="frame", kind="memmap")["body_file"]
    data = bytearray(path.read_bytes())
    at = next(n for n in range(0, len(data), 48) if struct.unpack_from("<Q", data, n + 8)[0] == 0x9004000)
    struct.pack_into("<Q", data, at + 8, 0x9003000)
    path.write_bytes(data)
    verdict_is(told(copy.judge()), ERROR, Cause.SETUP_NOT_PROVED, None, "0x9000000-0x9003fff")


def test_no_map_at_all(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(MADE).drop(type="frame", kind="memmap")
    verdict_is(told(copy.judge()), ERROR, Cause.MISSING_REPORT, None)


def test_hooks_that_were_not_reported(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(MADE).drop(type="frame", kind="hooks")
    verdict_is(told(copy.judge()), ERROR, Cause.SETUP_NOT_PROVED, None)


def test_an_image_at_another_place(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(MADE).change({"fields": {"address": "0x3c000000"}}, type="frame", kind="image")
    verdict_is(told(copy.judge()), ERROR, Cause.SETUP_NOT_PROVED, None)


def test_canaries_that_were_never_there(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(MADE)
    file = copy.only(type="sample", subject="memory-0x8000000", epoch=0)["file"]
    data = bytes(0x4000)
    (copy.path / file).write_bytes(data)
    copy.change({"sha256": hashlib.sha256(data).hexdigest()}, type="sample", file=file)
    verdict_is(told(copy.judge()), ERROR, Cause.SETUP_NOT_PROVED, None)


def test_canaries_that_were_not_read(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(MADE).drop(type="sample", subject="memory-0x8000000", epoch=0)
    verdict_is(told(copy.judge()), ERROR, Cause.SETUP_NOT_PROVED, None, "0x8000000-0x8003fff")


def test_a_range_that_the_agent_did_not_fill(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(MADE).drop(type="frame", kind="range", address="0x8000000")
    verdict_is(told(copy.judge()), ERROR, Cause.SETUP_NOT_PROVED, None, "0x8000000-0x8003fff")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "0x8000000-0x8003fff ACPI Non-volatile Storage",
            "0x8000000-0x8003fff System RAM",
        ),
        ("0x1000000-0x100ffff Reserved", "0x1000000-0x100ffff System RAM"),
        ("0x900000-0xffffff System RAM", "0x900000-0xffffff Reserved"),
    ],
)
def test_a_kernel_with_another_map(copy_of: CopyOf, told: Told, old: str, new: str) -> None:
    copy = copy_of(MADE)
    verdict = copy.edit(copy.fact_file(1, "memmap"), old, new).judge()
    verdict_is(told(verdict), ERROR, Cause.SETUP_NOT_PROVED, None)


def account(verdict: Verdict) -> Check:
    return check_of(verdict, "memory map")


def places(check: Check) -> str:
    return "\n".join(item.text for item in check.evidence)


def test_the_account_is_in_the_verdict(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of(MADE).judge()
    text = places(told(account(verdict)))
    assert verdict.status is Status.PASS, said(verdict)
    for values in ("0x806000-0x807fff", "0xf233000", "0x180000000-0x1801fffff", "0x1000000-0x100ffff"):
        assert values in text


def test_what_the_map_does_not_list_is_told(copy_of: CopyOf) -> None:
    text = places(account(copy_of(MADE).judge()))
    assert "0x200000-0x7fffff" in text
    assert "0x808000-0x80ffff" in text


def test_the_account_follows_the_map(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(MADE)
    before = places(account(copy.judge()))
    text = places(told(account(descriptor(copy, "memmap", 0x100000, 7).judge())))
    assert text != before
    assert f"{RangeType.BOOT_SERVICES_CODE} 0x100000-0x1fffff" in text
