from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

from harness import clock
from harness.clock import Deadline
from harness.errors import HostError, Interrupted
from harness.machine.feed import LATE_S, Failure, Feed
from harness.machine.happenings import Event, Exited, Happening, HelperExited, Line, Match, Source
from harness.model.record import EndKind

from .conftest import lost, no_failure, of_kind, on_match, won

PROMPT_S = 1.0
"""A generous bound for "at once" on a loaded machine."""


def line(text: str) -> Line:
    return Line(text, 0)


@contextmanager
def after(delay_s: float, *actions: Callable[[], object]) -> Iterator[None]:
    timers = [threading.Timer(delay_s, action) for action in actions]
    for timer in timers:
        timer.start()
    yield
    for timer in timers:
        timer.join()


def test_what_came_before_the_wait_is_seen_in_order() -> None:
    feed = Feed()
    for number in range(5):
        feed.push(Source.CONSOLE, line(f"{number}"))
    seen: list[str] = []

    def success(happening: Happening) -> str | None:
        assert isinstance(happening.data, Line)
        seen.append(happening.data.text)
        return "three" if happening.data.text == "3" else None

    outcome = won(feed.wait(success, no_failure, Deadline.after(1), since=1))
    assert (outcome.value, outcome.cursor, seen) == ("three", 4, ["1", "2", "3"])


def test_nothing_is_lost_between_waits_while_others_push() -> None:
    feed, count = Feed(), 300

    def push(source: Source) -> None:
        for number in range(count):
            feed.push(source, line(f"{source} {number}"))

    threads = [threading.Thread(target=push, args=(source,)) for source in (Source.CONSOLE, Source.LINK)]
    for thread in threads:
        thread.start()
    seen: list[Happening] = []
    cursor = 0
    while len(seen) < 2 * count:
        outcome = won(feed.wait(lambda happening: happening, no_failure, Deadline.after(5), since=cursor))
        seen.append(outcome.value)
        cursor = outcome.cursor
    for thread in threads:
        thread.join()
    for source in (Source.CONSOLE, Source.LINK):
        texts = [happening.data for happening in seen if happening.source is source]
        assert texts == [line(f"{source} {number}") for number in range(count)]
    assert [happening.t_s for happening in seen] == sorted(happening.t_s for happening in seen)


def test_a_decisive_happening_wakes_the_wait_at_once() -> None:
    feed = Feed()
    pushed: list[float] = []

    def push() -> None:
        pushed.append(clock.now_s())
        feed.push(Source.QMP, Event("RESET"))

    with after(0.1, push):
        won(feed.wait(of_kind("RESET"), no_failure, Deadline.after(10), since=0))
        woken_s = clock.now_s()
    assert woken_s - pushed[0] < PROMPT_S


def test_a_failure_before_the_success_ends_the_wait_badly() -> None:
    feed = Feed()
    feed.push(Source.CONSOLE, Match("panic", "Kernel panic", "", 10))
    feed.push(Source.CONSOLE, line("up"))
    outcome = lost(feed.wait(of_kind("up"), on_match, Deadline.after(1), since=0))
    assert (outcome.kind, outcome.detail) == (EndKind.PANIC, "Kernel panic")


def test_the_deadline_gives_a_timeout() -> None:
    began_s = clock.now_s()
    outcome = lost(Feed().wait(of_kind("up"), no_failure, Deadline.after(0.1), since=0))
    assert outcome.kind is EndKind.TIMEOUT
    assert 0.1 <= clock.now_s() - began_s < 0.1 + PROMPT_S


def test_what_is_there_already_is_looked_at_even_after_the_deadline() -> None:
    feed = Feed()
    feed.push(Source.CONSOLE, line("up"))
    assert won(feed.wait(of_kind("up"), no_failure, Deadline.after(0), since=0)).cursor == 1


def test_the_end_of_qemu_is_reported_after_late_output_had_its_time() -> None:
    feed = Feed()
    began_s = clock.now_s()
    feed.push(Source.PROCESS, Exited(-9))
    outcome = lost(feed.wait(of_kind("up"), on_match, Deadline.after(10), since=0))
    assert (outcome.kind, outcome.detail) == (EndKind.QEMU_DIED, "QEMU ended by signal 9")
    assert LATE_S <= clock.now_s() - began_s < LATE_S + PROMPT_S


def test_a_late_oops_is_the_better_answer_than_the_end_of_qemu() -> None:
    feed = Feed()
    feed.push(Source.PROCESS, Exited(1))
    with after(0.1, lambda: feed.push(Source.CONSOLE, Match("panic", "Kernel panic", "", 10))):
        assert lost(feed.wait(of_kind("up"), on_match, Deadline.after(10), since=0)).kind is EndKind.PANIC


def test_a_late_success_still_counts_and_the_next_wait_fails_at_once() -> None:
    feed = Feed()
    feed.push(Source.PROCESS, Exited(1))
    with after(0.1, lambda: feed.push(Source.CONSOLE, line("up"))):
        outcome = won(feed.wait(of_kind("up"), no_failure, Deadline.after(10), since=0))
    began_s = clock.now_s()
    assert lost(feed.wait(of_kind("more"), no_failure, Deadline.after(10), outcome.cursor)).kind is EndKind.QEMU_DIED
    assert clock.now_s() - began_s < LATE_S + PROMPT_S


def test_the_deadline_cuts_the_grace_but_not_the_reason() -> None:
    feed = Feed()
    feed.push(Source.PROCESS, Exited(1))
    assert lost(feed.wait(of_kind("up"), no_failure, Deadline.after(0.05), since=0)).kind is EndKind.QEMU_DIED


def test_the_end_of_qemu_can_be_a_success() -> None:
    feed = Feed()
    feed.push(Source.PROCESS, Exited(0))
    assert won(feed.wait(of_kind("qemu-exited"), no_failure, Deadline.after(1), since=0)).value.data == Exited(0)


@pytest.mark.parametrize("helper_first", [True, False])
def test_the_end_of_qemu_explains_that_of_its_helper(helper_first: bool) -> None:
    feed = Feed()
    ends: list[Exited | HelperExited] = [HelperExited("swtpm", 0), Exited(-9)]
    for end in ends if helper_first else reversed(ends):
        feed.push(Source.PROCESS, end)

    def helper(happening: Happening) -> Failure | None:
        lost = isinstance(happening.data, HelperExited)
        return Failure(EndKind.HOST, "swtpm ended", happening, grace_s=0.5) if lost else None

    assert lost(feed.wait(of_kind("up"), helper, Deadline.after(10), since=0)).kind is EndKind.QEMU_DIED


def test_the_end_of_a_helper_alone() -> None:
    feed = Feed()
    feed.push(Source.PROCESS, HelperExited("swtpm", -9))
    with after(0.01, lambda: feed.push(Source.CONSOLE, line("more"))):
        assert lost(feed.wait(of_kind("up"), no_failure, Deadline.after(0.1), since=0)).kind is EndKind.TIMEOUT


def test_a_failure_with_grace_gives_way_to_a_better_one() -> None:
    feed = Feed()

    def failure(happening: Happening) -> Failure | None:
        if isinstance(happening.data, Event):
            return Failure(EndKind.RESET, "reset", happening, grace_s=5.0)
        return on_match(happening)

    feed.push(Source.QMP, Event("RESET"))
    with after(0.05, lambda: feed.push(Source.CONSOLE, Match("panic", "Kernel panic", "", 10))):
        assert lost(feed.wait(of_kind("up"), failure, Deadline.after(10), since=0)).kind is EndKind.PANIC
    assert lost(feed.wait(of_kind("up"), failure, Deadline.after(0.1), since=0)).kind is EndKind.PANIC
    alone = Feed()
    alone.push(Source.QMP, Event("RESET"))
    assert lost(alone.wait(of_kind("up"), failure, Deadline.after(0.1), since=0)).kind is EndKind.RESET


def test_the_tick_repeats_while_nothing_decides() -> None:
    ticks: list[float] = []
    Feed().wait(
        of_kind("up"), no_failure, Deadline.after(0.25), 0, tick=lambda: ticks.append(clock.now_s()), tick_s=0.05
    )
    assert 2 <= len(ticks) <= 6
    assert min(later - sooner for sooner, later in pairwise(ticks)) >= 0.05


@pytest.mark.parametrize("waits", [1, 3])
def test_an_interrupt_ends_all_waits_at_once_and_for_good(waits: int) -> None:
    feed = Feed()
    ended_s: list[float] = []

    def wait() -> None:
        with pytest.raises(Interrupted):
            feed.wait(of_kind("up"), no_failure, Deadline.after(10), since=0)
        ended_s.append(clock.now_s())

    threads = [threading.Thread(target=wait) for _ in range(waits)]
    for thread in threads:
        thread.start()
    asked_s = clock.now_s()
    feed.interrupt()
    for thread in threads:
        thread.join()
    assert len(ended_s) == waits
    assert max(ended_s) - asked_s < PROMPT_S
    with pytest.raises(Interrupted):
        feed.until(lambda: False, Deadline.after(10))


def test_ctrl_c_in_a_wait_of_the_main_thread() -> None:
    feed = Feed()
    before = signal.signal(signal.SIGINT, lambda *_: feed.interrupt())
    began_s = clock.now_s()
    try:
        with after(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)), pytest.raises(Interrupted):
            feed.wait(of_kind("up"), no_failure, Deadline.after(10), since=0)
    finally:
        signal.signal(signal.SIGINT, before)
    assert clock.now_s() - began_s < 0.1 + PROMPT_S


def test_a_signal_between_looking_and_sleeping_is_not_lost() -> None:
    """The handler runs in the thread that holds the feed's lock, where a notify would wake nobody."""
    feed = Feed()
    before = signal.signal(signal.SIGINT, lambda *_: feed.interrupt())

    def look() -> bool:
        signal.raise_signal(signal.SIGINT)
        return False

    began_s = clock.now_s()
    try:
        with pytest.raises(Interrupted):
            feed.until(look, Deadline.after(5))
    finally:
        signal.signal(signal.SIGINT, before)
    assert clock.now_s() - began_s < PROMPT_S


def test_every_happening_is_recorded_before_a_wait_sees_it() -> None:
    recorded: list[Happening] = []
    feed = Feed(record=recorded.append)
    feed.push(Source.QMP, Event("RESET"))
    assert recorded == list(feed.since(0))


def test_a_record_that_cannot_be_written_ends_the_run_with_the_reason() -> None:
    def full(_: Happening) -> None:
        raise OSError(28, "No space left on device")

    feed = Feed(record=full)
    feed.push(Source.QMP, Event("RESET"))
    with pytest.raises(HostError, match="No space left on device"):
        feed.wait(of_kind("RESET"), no_failure, Deadline.after(1), since=0)


def test_until_waits_for_a_poke() -> None:
    feed = Feed()
    done = threading.Event()
    with after(0.05, lambda: (done.set(), feed.poke())):
        assert feed.until(done.is_set, Deadline.after(10))
    assert not feed.until(lambda: False, Deadline.after(0.02))
