"""Many variants: prepared, run side by side, judged, and all of them accounted for."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness import clock
from harness.errors import HostError, InputError, InternalError, Interrupted
from harness.internal import internal_error
from harness.judge.judge import failed_before_start, judge, refused
from harness.load.scenarios import Variant
from harness.machine.feed import Feed
from harness.model.causes import Cause
from harness.model.kernel import KernelImage
from harness.model.plan import Plan
from harness.model.record import Point
from harness.model.verdict import KnownIssue, Verdict
from harness.plan.gate import refusal
from harness.plan.planner import make_plan
from harness.record.store import read_record, write_verdict
from harness.session.attempts import after, worth_another
from harness.session.prepare import Workshop
from harness.session.room import MemoryRoom
from harness.session.runner import run_plan
from harness.stage.listener import Listener, Shielded
from harness.stage.stage import Helpers, Stage


@dataclass(frozen=True)
class Options:
    """How a session is run."""

    runs: Path
    jobs: int = 1
    known_issues: tuple[KnownIssue, ...] = ()
    render: Callable[[Verdict, Plan | None], str] = lambda verdict, _plan: verdict.headline + "\n"
    """Makes ``verdict.txt`` of a verdict."""
    memory_bytes: int | None = None
    """What the host has free for guests; None for no limit."""
    command: Callable[[Variant], tuple[str, ...]] = lambda _variant: ()
    """The command line that runs a variant again; empty where none does."""
    probe: Callable[[Stage, Point], None] = lambda _stage, _point: None
    """Called when the watched memory of a run has been sampled."""


class Session:
    """Runs variants, at most ``jobs`` at a time; can be interrupted from any thread or signal handler."""

    def __init__(self, workshop: Workshop, options: Options, listener: Listener) -> None:
        self._workshop = workshop
        self._options = options
        self._listener = Shielded(listener)
        self._feeds: set[Feed] = set()
        self._lock = threading.Lock()
        self._preparing = False
        self._room = MemoryRoom(options.memory_bytes)
        self.interrupted = False

    def run(self, variants: Sequence[Variant], repeat: int = 1) -> tuple[Verdict, ...]:
        """``repeat`` verdicts for each variant that was started, in the order of ``variants``.

        Raises:
            InputError: a kernel or firmware that a variant names is not one; nothing was started.
            HostError: no variant can be started here; nothing was started.
            Interrupted: stopped before anything was started.
        """
        with self._in_preparation():
            self._look_ahead(variants)
        verdicts: dict[int, Verdict] = {}
        turns = [variant for variant in variants for _ in range(repeat)]
        with ThreadPoolExecutor(self._options.jobs, thread_name_prefix="run") as pool:
            futures = {pool.submit(self.run_one, variant): number for number, variant in enumerate(turns)}
            try:
                for future in as_completed(futures):
                    self._collect(future, futures[future], verdicts)
            except BaseException:
                self.interrupt()
                raise
        return tuple(verdicts[number] for number in sorted(verdicts))

    @property
    def unheard(self) -> InternalError | None:
        """Why the listener heard no more from some time on; None when it heard all."""
        return self._listener.fault

    def interrupt(self) -> None:
        """End all runs now, each with its record and verdict; start no more. From any thread."""
        self.interrupted = True
        for feed in tuple(self._feeds):
            feed.interrupt()
        self._room.close()

    def interrupt_here(self) -> None:
        """``interrupt``, for a signal handler in the main thread.

        Raises:
            Interrupted: the first time, when the main thread is fetching or building: that may take minutes, and
                nothing but an exception gets it out of there.
        """
        first = not self.interrupted
        self.interrupt()
        if first and self._preparing:
            raise Interrupted("stopped on request")

    def run_one(self, variant: Variant) -> Verdict:
        """Prepare, run and judge one variant.

        Raises:
            Interrupted: the session was interrupted before this one began.
        """
        if self.interrupted:
            raise Interrupted("not started")
        self._listener.started(variant.id)
        verdict = self._verdict(variant)
        self._listener.finished(verdict)
        return verdict

    def _look_ahead(self, variants: Sequence[Variant]) -> None:
        """Fetch and look up what the variants need, so that what cannot work is said once, before anything starts.

        A kernel that cannot be had costs its own variants only, unless there are no others.
        """
        failed: list[HostError] = []
        possible: list[Variant] = []
        for variant in variants:
            try:
                kernels = self._workshop.kernels(variant.scenario)
                self._workshop.hypervisor(variant.scenario)
            except HostError as error:
                failed.append(error)
                continue
            if refusal(variant.scenario, kernels) is None:
                possible.append(variant)
        if failed and len(failed) == len(variants):
            raise failed[0]
        for name in dict.fromkeys(variant.scenario.firmware_name for variant in possible):
            self._workshop.bench(name)

    @contextmanager
    def _in_preparation(self) -> Iterator[None]:
        """Inside, ``interrupt_here`` raises, if this is the main thread, which it is called in."""
        self._preparing = threading.current_thread() is threading.main_thread()
        try:
            if self.interrupted:
                raise Interrupted("stopped on request")
            yield
        finally:
            self._preparing = False

    def _collect(self, future: Future[Verdict], number: int, verdicts: dict[int, Verdict]) -> None:
        with suppress(Interrupted):  # its turn never came
            verdicts[number] = future.result()

    def _verdict(self, variant: Variant) -> Verdict:
        kernel = variant.scenario.kernel
        try:
            return self._run(variant)
        except (HostError, InputError, Interrupted) as error:
            # A Ctrl-C on a terminal also reaches the programs we started, and their failure may be seen first.
            if self.interrupted or isinstance(error, Interrupted):
                return failed_before_start(variant.id, kernel, error.message, "Run it again.", Cause.INTERRUPTED)
            return failed_before_start(variant.id, kernel, error.message, error.hint)
        except Exception as error:  # noqa: BLE001  # a bug costs the run that meets it, and not the others
            internal = internal_error(error)
            return failed_before_start(variant.id, kernel, internal.message, internal.hint, Cause.INTERNAL)

    def _run(self, variant: Variant) -> Verdict:
        """At most twice: once more when the host failed before a kernel had started."""
        verdict = self._run_once(variant)
        if self.interrupted or not worth_another(verdict):
            return verdict
        self._listener.message(f"{variant.id}: {verdict.headline}; it is tried once more")
        again = after(verdict, self._run_once(variant))
        if again.run_dir:
            directory = Path(again.run_dir)
            _write(directory, again, self._options.render(again, read_record(directory).plan))
        return again

    def _run_once(self, variant: Variant) -> Verdict:
        nonce = secrets.token_hex(4)
        run_id = f"{clock.utc():%Y%m%dT%H%M%S}-{re.sub(r'[^A-Za-z0-9.]+', '-', variant.id).strip('-')}-{nonce}"
        kernels = self._workshop.kernels(variant.scenario)
        reason = refusal(variant.scenario, kernels)
        if reason is not None:
            return refused(variant.id, run_id, kernels, reason)
        with self._room.hold(variant.scenario.machine.memory):
            return self._run_on(variant, run_id, nonce, kernels)

    def _run_on(self, variant: Variant, run_id: str, nonce: str, kernels: tuple[KernelImage, ...]) -> Verdict:
        with self._in_preparation():
            prepared = self._workshop.prepare(variant.scenario, kernels)
        plan = make_plan(
            run_id=run_id,
            nonce=nonce,
            variant=variant.id,
            scenario=variant.scenario,
            scenario_file=variant.file,
            prepared=prepared,
            command=self._options.command(variant),
        )
        directory = (self._options.runs / run_id).resolve()
        feeds: list[Feed] = []
        try:
            run_plan(
                plan,
                directory,
                self._listener,
                watch_feed=lambda feed: self._watch(feed, feeds),
                helpers=Helpers(self._workshop.naming, self._options.probe),
            )
        finally:
            with self._lock:
                self._feeds.difference_update(feeds)
        return judge_directory(directory, self._options.known_issues, self._options.render)

    def _watch(self, feed: Feed, feeds: list[Feed]) -> None:
        with self._lock:
            self._feeds.add(feed)
        feeds.append(feed)
        if self.interrupted:
            feed.interrupt()


def judge_directory(
    directory: Path, known: Sequence[KnownIssue], render: Callable[[Verdict, Plan | None], str]
) -> Verdict:
    """Judge a record and put the verdict beside it.

    Raises:
        InputError: this is no run directory.
        HostError: the verdict cannot be written.
    """
    record = read_record(directory)
    try:
        verdict = judge(record, known).model_copy(update={"run_dir": str(directory)})
    finally:
        record.close()
    _write(directory, verdict, render(verdict, record.plan))
    return verdict


def _write(directory: Path, verdict: Verdict, text: str) -> None:
    try:
        write_verdict(directory, verdict, text)
    except OSError as error:
        raise HostError(f"{directory}: the verdict cannot be written ({error.strerror})") from error
