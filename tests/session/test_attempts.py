"""Faults of the host are tried again once and said so."""

from __future__ import annotations

import pytest

from harness.model.causes import Cause, Status
from harness.model.record import Phase
from harness.model.verdict import Verdict
from harness.session.attempts import after, worth_another


def verdict(status: Status, cause: Cause | None = None, phase: Phase = Phase.OFF, **more: object) -> Verdict:
    values = {"variant": "a/b[c]", "run_id": "r", "kernel": "c", "headline": "so it was", "epoch": 0, "checks": ()}
    return Verdict.model_validate({**values, "status": status, "cause": cause, "phase": phase, "run_dir": "/r", **more})


@pytest.mark.parametrize("cause", [Cause.HOST, Cause.QEMU_DIED, Cause.PORT_LOST, Cause.CLOCK_SKEW])
@pytest.mark.parametrize("phase", [Phase.START, Phase.FIRMWARE, Phase.AGENT])
def test_worth_another(cause: Cause, phase: Phase) -> None:
    assert worth_another(verdict(Status.ERROR, cause, phase))
    assert not worth_another(verdict(Status.FAIL, cause, phase))
    assert not worth_another(verdict(Status.ERROR, cause, phase, run_dir="")), "it was not even started"


@pytest.mark.parametrize(
    ("cause", "phase"),
    [(Cause.NO_BOOT, Phase.FIRMWARE), (Cause.INTERRUPTED, Phase.START), (Cause.QEMU_DIED, Phase.STUB)],
)
def test_not_worth_another(cause: Cause, phase: Phase) -> None:
    assert not worth_another(verdict(Status.ERROR, cause, phase))


def test_a_second_attempt_says_that_it_is_one() -> None:
    first = verdict(Status.ERROR, Cause.QEMU_DIED, Phase.FIRMWARE, run_id="first")
    again = after(first, verdict(Status.PASS))
    assert again.status is Status.PASS
    assert [(item.run_id, item.cause) for item in again.attempts] == [("first", Cause.QEMU_DIED)]
    assert again.notes == ("this is the second attempt; the first ended with ERROR qemu-died: so it was",)
