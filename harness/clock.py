"""The only module that knows the clock, so that tests can replace it."""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass


def now_s() -> float:
    """Seconds on the monotonic clock."""
    return time.monotonic()


def utc() -> datetime.datetime:
    """Wall clock time, aware, in UTC: for names and reports, never for waiting."""
    return datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True)
class Deadline:
    """A point in time on the monotonic clock, made once and passed down."""

    at_s: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(now_s() + seconds)

    @property
    def remaining_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at_s - now_s())

    @property
    def expired(self) -> bool:
        return now_s() >= self.at_s

    def sooner(self, seconds: float) -> Deadline:
        """The earlier of this deadline and ``seconds`` from now."""
        return Deadline(min(self.at_s, now_s() + seconds))
