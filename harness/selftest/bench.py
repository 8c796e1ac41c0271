"""Runs the cases: real machines, damaged as the case says, judged with and without the checks that should see it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import clock
from harness.errors import HarnessError, Interrupted
from harness.judge.judge import judge
from harness.machine.feed import Feed
from harness.model.plan import Plan
from harness.model.record import Phase, Point
from harness.model.scenario import Scenario
from harness.model.verdict import Verdict
from harness.plan.planner import make_plan
from harness.record.store import read_record
from harness.selftest.cases import Case
from harness.selftest.damage import RAM
from harness.session.prepare import Workshop
from harness.session.runner import run_plan
from harness.session.session import judge_directory
from harness.stage.hostfault import Clocks
from harness.stage.listener import Silent
from harness.stage.stage import Helpers, Stage

NONCE = "5e1f7e57"
_FIRMWARE = "ovmf-x64"
_PATIENCE_S = 20.0
_KEXEC: list[Any] = ["boot", {"kexec": {"syscall": "file"}}]
_KDUMP: list[Any] = [
    {"boot": {"cmdline": ["crashkernel=192M"]}},
    {"crash_kernel": {"syscall": "file"}},
    {"crash": {"by": "sysrq"}},
    {"capture": {}},
]


@dataclass(frozen=True)
class Outcome:
    """What came of one case."""

    case: Case
    verdict: Verdict
    blind: Verdict | None
    """The verdict on the same record without the checks that should see the damage."""
    problem: str
    """Why the case proves nothing, or what is wrong; empty when all is right."""
    seconds: float
    run_dir: str
    judged_s: float
    """When the verdict was there, on the run's clock."""

    @property
    def good(self) -> bool:
        return not self.problem


@dataclass
class _Injector(Silent):
    """Does a case's damage at its moment, once, in a thread of its own."""

    case: Case
    stage: Stage | None = None
    error: str = ""
    _thread: threading.Thread | None = None

    def phase(self, variant: str, phase: Phase, epoch: int, detail: str) -> None:  # noqa: ARG002
        if (phase, epoch) == self.case.at:
            self._begin()

    def probe(self, stage: Stage, point: Point) -> None:
        """For ``Helpers.probe``: the first border gives the stage."""
        self.stage = stage
        if point is Point.LOADED and self.case.at_loaded:
            self._begin()
            self.join()

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join(_PATIENCE_S)

    @property
    def missed(self) -> bool:
        """The moment never came."""
        return self.case.damage is not None and self._thread is None

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._damage, name=f"damage-{self.case.name}", daemon=True)
            self._thread.start()

    def _damage(self) -> None:
        if self.case.damage is None or self.stage is None:
            return
        try:
            self.case.damage(self.stage)
        except (HarnessError, OSError) as error:
            self.error = str(error)


@dataclass
class Bench:
    """Runs cases on one kernel, at most ``jobs`` at a time. ``without``: checks that are switched off everywhere."""

    workshop: Workshop
    kernel: str
    runs: Path
    jobs: int = 1
    without: frozenset[str] = frozenset()
    _feeds: set[Feed] = field(default_factory=set)
    _stopped: bool = False

    def run(self, cases: Sequence[Case], done: Callable[[Outcome], None]) -> tuple[Outcome, ...]:
        """All cases, in their order; ``done`` hears of each when it ends.

        Raises:
            InputError, HostError: kernel or firmware cannot be had.
            Interrupted: the user asked to stop.
        """
        plans = {case.name: self._plan(case) for case in cases}
        outcomes: dict[str, Outcome] = {}
        with ThreadPoolExecutor(self.jobs, thread_name_prefix="selftest") as pool:
            futures = [pool.submit(self._run, case, plans[case.name]) for case in cases]
            try:
                for future in as_completed(futures):
                    outcome = future.result()
                    outcomes[outcome.case.name] = outcome
                    done(outcome)
            except BaseException:
                self.interrupt()
                raise
        return tuple(outcomes[case.name] for case in cases)

    def interrupt(self) -> None:
        """End all runs now. From any thread."""
        self._stopped = True
        for feed in tuple(self._feeds):
            feed.interrupt()

    def _plan(self, case: Case) -> Plan:
        scenario = document(self.kernel, kexec=case.kexec, kdump=case.kdump)
        kernels = self.workshop.kernels(scenario)
        plan = make_plan(
            run_id=f"selftest-{case.name}",
            nonce=NONCE,
            variant=f"selftest/{case.name}[{Path(self.kernel).name},{_FIRMWARE}]",
            scenario=scenario,
            scenario_file="harness selftest",
            prepared=self.workshop.prepare(scenario, kernels),
        )
        return case.plan(plan)

    def _run(self, case: Case, plan: Plan) -> Outcome:
        if self._stopped:
            raise Interrupted("stopped on request")
        began_s = clock.now_s()
        directory = (self.runs / f"{clock.utc():%Y%m%dT%H%M%S}-{case.name}").resolve()
        injector = _Injector(case)
        helpers = replace(Helpers(self.workshop.naming, injector.probe), clocks=_clocks(case))
        feeds: list[Feed] = []

        def watch(feed: Feed) -> None:
            self._feeds.add(feed)
            feeds.append(feed)

        started_s = clock.now_s()
        try:
            run_plan(plan, directory, injector, watch_feed=watch, helpers=helpers)
        finally:
            self._feeds.difference_update(feeds)
            injector.join()
            with suppress(OSError):
                (directory / RAM).unlink()
        record = read_record(directory)
        try:
            verdict = judge(record, without=self.without)
            judged_s = clock.now_s() - started_s
            blind = judge(record, without=self.without | {*case.detectors}) if case.detectors else None
        finally:
            record.close()
        judge_directory(directory, (), lambda verdict, _plan: verdict.headline + "\n")
        problem = _problem(case, injector, verdict, blind)
        return Outcome(case, verdict, blind, problem, clock.now_s() - began_s, str(directory), judged_s)


def document(kernel: str, *, kexec: bool = False, kdump: bool = False) -> Scenario:
    """The scenario that all cases are made of: a table with canaries, one kernel or two; the second may capture."""
    name, steps, more = ("two-kernels", _KEXEC, []) if kexec else ("one-kernel", ["boot"], [])
    if kdump:
        name, steps, more = "kdump", _KDUMP, ["kdump_clean"]
    data = {
        "id": f"selftest/{name}",
        "why": "What harness selftest damages.",
        "kernel": kernel,
        "firmware_name": _FIRMWARE,
        "machine": {"memory": "512MiB"},
        "firmware": {"tables": [{"esrt": {"memory": "boot-services-data", "below": "0x1a000000", "entries": 3}}]},
        "steps": steps,
        "expect": [{"table_intact": "esrt"}, "no_crash", *more],
    }
    return Scenario.model_validate_json(json.dumps(data))


def _problem(case: Case, injector: _Injector, verdict: Verdict, blind: Verdict | None) -> str:
    if injector.error:
        return f"the damage could not be done: {injector.error}"
    if injector.missed:
        return f"the damage was never done: the run did not come so far ({verdict.headline})"
    return wrong(case, verdict, blind)


def wrong(case: Case, verdict: Verdict, blind: Verdict | None) -> str:
    """What is wrong with the verdicts on a damaged run; empty when they are right."""
    if not case.expected.met_by(verdict):
        return f"expected {case.expected}, got {_words(verdict)}: {verdict.headline}"
    if blind is not None and case.expected.met_by(blind):
        return f"the verdict is the same without {' and '.join(case.detectors)}, which should have found it"
    return ""


def _words(verdict: Verdict) -> str:
    return f"{verdict.status}{f' {verdict.cause}' if verdict.cause else ''} in epoch {verdict.epoch}"


def _clocks(case: Case) -> Callable[[], Clocks]:
    """The host's clocks; the wall clock is set after the first look, where the case wants that."""
    looks: list[Clocks] = []

    def look() -> Clocks:
        now = Clocks.now()
        looks.append(now)
        return now if len(looks) == 1 else replace(now, wall_s=now.wall_s + case.wall_jump_s)

    return look
