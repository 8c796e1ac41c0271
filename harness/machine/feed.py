"""One ordered feed of everything the machine does: all sources push to it, every wait reads it.

A wait names what ends it well and what ends it badly. It looks at each happening since a cursor, in order,
so nothing is lost between two waits, and it is woken by a push, never by a clock tick.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from harness import clock
from harness.clock import Deadline
from harness.errors import HarnessError, HostError, Interrupted
from harness.internal import internal_error
from harness.machine.happenings import KINDS, Data, Exited, Happening, HelperExited, Source, ended_how
from harness.model.record import EndKind

T = TypeVar("T")

LATE_S = 0.3
"""How long output may still come in after QEMU ended: bytes in a socket outlive their writer, and an oops
among them explains more than "QEMU died"."""


@dataclass(frozen=True)
class Success(Generic[T]):
    """A wait ended well. ``cursor`` is the place after the decisive happening: where the next wait starts."""

    value: T
    cursor: int


@dataclass(frozen=True)
class Failure:
    """A wait ended badly.

    With ``grace_s`` the wait goes on that long, in case a better answer is on its way: a success, or a failure
    without grace, then takes its place; one with less grace makes the wait shorter.
    """

    kind: EndKind
    detail: str
    happening: Happening | None = None
    grace_s: float = 0.0


class Feed:
    """The feed of one run. Every method may be called from any thread.

    Args:
        started_s: the run's zero on the monotonic clock; default now.
        record: called with every happening, in order, before a wait can see it. It must be quick. An OSError
            (no space left, say) ends all waits with a HostError, any other exception with an InternalError.
    """

    def __init__(self, *, started_s: float | None = None, record: Callable[[Happening], None] | None = None) -> None:
        self.started_s = clock.now_s() if started_s is None else started_s
        self._record = record
        self._changed = threading.Condition()
        self._happenings: list[Happening] = []
        self._exited: Happening | None = None
        self._error: HarnessError | None = None

    def now_s(self) -> float:
        """Seconds since the run started."""
        return clock.now_s() - self.started_s

    def push(self, source: Source, data: Data) -> None:
        """Add a happening, now, and wake all waits."""
        with self._changed:
            happening = Happening(self.now_s(), source, KINDS[type(data)], data)
            if self._record is not None:
                try:
                    self._record(happening)
                except OSError as error:
                    self._record = None
                    self._error = self._error or HostError(
                        f"the record cannot be written: {error.strerror or error}",
                        hint="free some space, or give another directory with --runs",
                    )
                except Exception as error:  # noqa: BLE001  # the thread that pushes must go on, or the guest stalls
                    self._record = None
                    self._error = self._error or internal_error(error)
            self._happenings.append(happening)
            if isinstance(data, Exited):
                self._exited = happening
            self._changed.notify_all()

    def cursor(self) -> int:
        """The place after the newest happening."""
        with self._changed:
            return len(self._happenings)

    def since(self, cursor: int = 0) -> tuple[Happening, ...]:
        """Everything from ``cursor`` on, at this moment."""
        with self._changed:
            return tuple(self._happenings[cursor:])

    def fail(self, error: HarnessError) -> None:
        """Make every wait, now and later, raise ``error`` at once. The first error stays.

        Safe in a signal handler: the main thread may be between looking and sleeping in a wait, where a notify from
        the handler would be lost, so another thread gives it, once the main thread has let go of the lock.
        """
        self._error = self._error or error
        threading.Thread(target=self.poke, name="feed-fail", daemon=True).start()

    def interrupt(self) -> None:
        """Make every wait raise Interrupted at once; for SIGINT handlers and other threads."""
        self.fail(Interrupted("stopped on request"))

    def poke(self) -> None:
        """Make every wait look again."""
        with self._changed:
            self._changed.notify_all()

    def check(self) -> None:
        """Raises: what ``fail`` or ``interrupt`` was called with, if one was."""
        if self._error is not None:
            raise self._error

    def wait(
        self,
        success: Callable[[Happening], T | None],
        failure: Callable[[Happening], Failure | None],
        deadline: Deadline,
        since: int,
        *,
        tick: Callable[[], None] | None = None,
        tick_s: float = 0.1,
    ) -> Success[T] | Failure:
        """Look at each happening from ``since`` on, in order, until one decides.

        ``success`` is asked first, then ``failure``; both must be quick. QEMU's end is a failure by itself
        (QEMU_DIED, with LATE_S of grace) unless one of them says something else about it, also when it ended
        before ``since``. The deadline gives TIMEOUT, or the failure whose grace was still running.
        ``tick`` is called in this thread, now and then every ``tick_s`` seconds: to repeat a byte, to show progress.

        Raises:
            Interrupted: the user asked to stop.
            HostError: the record cannot be written.
        """
        began_s = clock.now_s()
        cursor, pending, ends = since, None, deadline
        next_tick = Deadline(began_s)
        while True:
            if tick is not None and next_tick.expired:
                tick()
                next_tick = Deadline.after(tick_s)
            ends = self._sooner(ends)
            batch = self._take(cursor, ends if tick is None else Deadline(min(ends.at_s, next_tick.at_s)))
            for happening in batch:
                cursor += 1
                value = success(happening)
                if value is not None:
                    return Success(value, cursor)
                failed = failure(happening) or _died(happening)
                if failed is not None and failed.grace_s <= 0:
                    return failed
                if failed is not None:
                    ends = ends.sooner(failed.grace_s)
                    if pending is None or (_by_qemus_end(pending) and isinstance(happening.data, Exited)):
                        pending = failed
            if not batch and ends.expired:
                return pending or self._nothing_came(clock.now_s() - began_s)

    def until(self, done: Callable[[], bool], deadline: Deadline) -> bool:
        """Wait until ``done()``; False when the deadline passed first. Whoever makes it true must ``poke``.

        Raises:
            Interrupted: the user asked to stop.
        """
        with self._changed:
            while not done():
                self.check()
                if deadline.expired:
                    return False
                self._changed.wait(deadline.remaining_s)
            return True

    def _take(self, cursor: int, deadline: Deadline) -> list[Happening]:
        """What there is from ``cursor`` on, waiting for something until the deadline."""
        with self._changed:
            while True:
                self.check()
                if len(self._happenings) > cursor:
                    return self._happenings[cursor:]
                if deadline.expired:
                    return []
                self._changed.wait(deadline.remaining_s)

    def _sooner(self, deadline: Deadline) -> Deadline:
        """The deadline, but no later than late output can come when QEMU has ended."""
        if self._exited is None:
            return deadline
        return Deadline(min(deadline.at_s, self.started_s + self._exited.t_s + LATE_S))

    def _nothing_came(self, waited_s: float) -> Failure:
        died = None if self._exited is None else _died(self._exited)
        return died or Failure(EndKind.TIMEOUT, f"nothing decisive in {waited_s:.1f} s")


def _by_qemus_end(failure: Failure) -> bool:
    """QEMU's end explains why its ports were closed, and why its helpers ended."""
    helper = failure.happening is not None and isinstance(failure.happening.data, HelperExited)
    return failure.kind is EndKind.PORT_LOST or helper


def _died(happening: Happening) -> Failure | None:
    if not isinstance(happening.data, Exited):
        return None
    return Failure(EndKind.QEMU_DIED, f"QEMU ended {ended_how(happening.data.status)}", happening, grace_s=LATE_S)
