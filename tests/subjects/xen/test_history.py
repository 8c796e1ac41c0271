"""Was the memory in which firmware had left a table used again? Else nothing was at stake."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.records import Copy
from support.verdicts import check_of
from support.words import Told
from support.xen_records import LOST, rewrite

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
BORDERS = ("xen", "dom0", "up")


def intact(copy: Copy, *borders: str) -> Copy:
    """As if firmware's bytes had still been there."""
    first = (copy.path / "samples/0-handoff-esrt.bin").read_bytes()
    for border in borders:
        sample = f"samples/1-{border}-esrt.bin"
        if (copy.path / sample).read_bytes() != first:
            rewrite(copy, sample, lambda data: data.__setitem__(slice(None), first))
    return copy


def test_memory_that_was_used_again(copy_of: CopyOf, told: Told) -> None:
    check = told(check_of(copy_of(LOST).judge(), "xen_reused"))
    assert check.status is Status.PASS
    assert [item.where for item in check.evidence] == [f"samples/1-{border}-esrt.bin" for border in BORDERS]


def test_memory_that_nobody_used_proves_nothing(copy_of: CopyOf, told: Told) -> None:
    check = told(check_of(intact(copy_of(LOST), *BORDERS).judge(), "xen_reused"))
    assert (check.status, check.cause) == (Status.ERROR, Cause.NOT_REUSED)
    assert "0x3bfff100" in check.summary


@pytest.mark.parametrize("border", BORDERS)
def test_one_border_is_enough(copy_of: CopyOf, border: str) -> None:
    copy = intact(copy_of(LOST), *BORDERS)
    rewrite(copy, f"samples/1-{border}-esrt.bin", lambda data: data.__setitem__(0x100, data[0x100] ^ 1))
    assert check_of(copy.judge(), "xen_reused").status is Status.PASS


def test_what_lies_beside_the_table_does_not_count(copy_of: CopyOf) -> None:
    copy = intact(copy_of(LOST), *BORDERS)
    rewrite(copy, "samples/1-up-esrt.bin", lambda data: data.__setitem__(0, data[0] ^ 1))
    assert check_of(copy.judge(), "xen_reused").cause is Cause.NOT_REUSED


def test_memory_that_was_not_sampled_proves_nothing(copy_of: CopyOf, told: Told) -> None:
    copy = copy_of(LOST)
    for border in BORDERS:
        copy.drop(type="sample", subject="esrt", point=border)
    assert told(check_of(copy.judge(), "xen_reused")).cause is Cause.MISSING_REPORT


def test_a_table_that_was_never_there(copy_of: CopyOf) -> None:
    copy = copy_of(LOST).drop(type="sample", subject="esrt", point="handoff")
    assert check_of(copy.judge(), "xen_reused").cause is Cause.MISSING_REPORT
