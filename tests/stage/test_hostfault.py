"""A time-out is the host's fault when its clocks disagree, or when QEMU does not answer."""

from __future__ import annotations

import datetime

import pytest

from harness import clock
from harness.stage.hostfault import Clocks


@pytest.mark.parametrize(
    ("monotonic_s", "wall_s"), [(10, 10), (10, 14.9), (10, 5.1), (1000, 1090), (1000, 1105), (0, 0)]
)
def test_clocks_that_agree(monotonic_s: float, wall_s: float) -> None:
    assert Clocks(5.0, 1e9).disagreement(Clocks(5.0 + monotonic_s, 1e9 + wall_s)) == ""


@pytest.mark.parametrize(("monotonic_s", "wall_s"), [(10, 16), (10, -3600), (3600, 10), (1000, 1200), (7200, 0)])
def test_clocks_that_do_not(monotonic_s: float, wall_s: float) -> None:
    said = Clocks(5.0, 1e9).disagreement(Clocks(5.0 + monotonic_s, 1e9 + wall_s))
    assert f"{monotonic_s} s on the monotonic clock, {wall_s} s on the wall clock" in said


def test_now_asks_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now_s", lambda: 7.0)
    monkeypatch.setattr(clock, "utc", lambda: datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
    assert Clocks.now() == Clocks(7.0, 1767225600.0)
