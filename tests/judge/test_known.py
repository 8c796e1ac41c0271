"""A known bug is expected exactly as it is known: same cause, same epoch, and nothing else wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.records import Copy
from support.words import Told

from harness.cli.exits import Exit, exit_for
from harness.model.causes import Cause, Status
from harness.model.verdict import KnownIssue

CopyOf = Callable[[str], Copy]
BUG = "esrt-kexec-load-6.1"


def known(cause: Cause = Cause.ESRT_CORRUPT, epoch: int | None = 2) -> KnownIssue:
    return KnownIssue(
        scenario="esrt/*",
        kernel="debian-*",
        cause=cause,
        epoch=epoch,
        reason="kexec-tools does not know the reservation.",
        reference="af1648984828",
    )


@pytest.mark.parametrize("epoch", [2, None])
def test_exactly_the_known_one(copy_of: CopyOf, epoch: int | None) -> None:
    verdict = copy_of(BUG).judge(known(epoch=epoch))
    assert (verdict.status, verdict.cause, verdict.known) == (Status.FAIL, Cause.ESRT_CORRUPT, known(epoch=epoch))
    assert verdict.as_expected
    assert exit_for([verdict]) is Exit.OK
    assert verdict.notes == ()


@pytest.mark.parametrize(
    ("issue", "words"),
    [
        (known(epoch=1), "expects esrt-corrupt in epoch 1 here, but this is not it"),
        (known(Cause.PANIC, None), "expects panic here, but this is not it"),
    ],
    ids=["epoch", "cause"],
)
def test_another_fail_than_the_known_one(copy_of: CopyOf, issue: KnownIssue, words: str) -> None:
    verdict = copy_of(BUG).judge(issue)
    assert (verdict.status, verdict.cause, verdict.known) == (Status.FAIL, Cause.ESRT_CORRUPT, None)
    assert exit_for([verdict]) is Exit.FAIL
    assert [note for note in verdict.notes if words in note] == list(verdict.notes)
    assert verdict.notes


def test_the_known_one_hides_no_other(copy_of: CopyOf) -> None:
    """A panic in the same run is another bug, or a worse one: a person must see it."""
    copy = copy_of(BUG)
    copy.print(2, "Kernel panic - not syncing: something new")
    verdict = copy.judge(known())
    assert (verdict.status, verdict.cause, verdict.known) == (Status.FAIL, Cause.ESRT_CORRUPT, None)
    assert exit_for([verdict]) is Exit.FAIL
    assert "but that is not all" in verdict.notes[0]


def test_the_known_one_hides_no_error(copy_of: CopyOf) -> None:
    verdict = copy_of(BUG).drop(kind="hello", epoch=2).judge(known())
    assert (verdict.status, verdict.known) == (Status.FAIL, None)


def test_a_known_panic_is_one_bug(copy_of: CopyOf) -> None:
    """It stands on the console, ends the run, and what was to be reported after it is missing: all one bug."""
    copy = copy_of("esrt-kexec-file").end_at(2, "kernel", "panic")
    copy.print(2, "Kernel panic - not syncing: Cannot find place for new RAMDISK")
    verdict = copy.judge(known(Cause.PANIC))
    assert {check.name for check in verdict.checks if check.cause is Cause.PANIC} == {"run", "no_crash"}
    assert (verdict.status, verdict.cause, verdict.as_expected) == (Status.FAIL, Cause.PANIC, True)
    assert not copy.judge(known(Cause.PANIC, 3)).as_expected


def test_gone(copy_of: CopyOf, told: Told) -> None:
    verdict = copy_of("esrt-kexec-file").judge(known())
    assert (verdict.status, verdict.cause, verdict.known) == (Status.FAIL, Cause.KNOWN_ISSUE_GONE, None)
    assert exit_for([verdict]) is Exit.FAIL
    assert verdict.checks[0].name == "known-issues.yaml"
    told(verdict)
    told(verdict.checks[0])
    assert {check.status for check in verdict.checks[1:]} == {Status.PASS}


def test_unsupported_stays(copy_of: CopyOf) -> None:
    verdict = copy_of("esrt-no-table").judge(known())
    assert (verdict.status, verdict.cause, verdict.known) == (Status.UNSUPPORTED, Cause.NO_TABLE, None)


def test_error_stays(copy_of: CopyOf) -> None:
    verdict = copy_of("esrt-kexec-file").drop(kind="up", epoch=2).judge(known())
    assert (verdict.status, verdict.cause, verdict.known) == (Status.ERROR, Cause.MISSING_REPORT, None)


@pytest.mark.parametrize(
    ("name", "cause"), [("tables-initrd-7.2", Cause.STALE_INITRD), ("tables-unaccepted-7.2", Cause.UNACCEPTED_CORRUPT)]
)
def test_a_known_loss_and_the_death_that_follows_are_one_bug(copy_of: CopyOf, name: str, cause: Cause) -> None:
    issue = KnownIssue(
        scenario="tables/*", kernel="debian-*", cause=cause, epoch=2, reason="because it is so here", reference="docs/"
    )
    verdict = copy_of(name).judge(issue)
    assert (verdict.status, verdict.cause, verdict.known) == (Status.FAIL, cause, issue), verdict.notes
    other = copy_of("tables-rtprop-6.1").judge(issue)
    assert other.known is None
