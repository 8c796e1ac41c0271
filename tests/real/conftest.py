"""Real runs of Debian's 6.1 kernel under OVMF, with something done to the plan or to the machine meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from harness.load.overrides import Overrides, parse_set
from harness.load.scenarios import load_files
from harness.model.plan import Plan
from harness.model.record import Phase, RunEnd
from harness.model.verdict import Check, Verdict
from harness.plan.planner import make_plan
from harness.report import text
from harness.session.assembly import Choices, make_workshop, this_host
from harness.session.places import Places
from harness.session.prepare import Workshop
from harness.session.runner import run_plan
from harness.session.session import judge_directory
from harness.stage.listener import Silent

KERNEL = "debian-6.1-cloud"
NONCE = "5eed5eed"
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.qemu)


class At(Silent):
    """Does something, once, when a phase of an epoch begins."""

    def __init__(self, phase: Phase, epoch: int, action: Callable[[], object]) -> None:
        self._when = (phase, epoch)
        self._action = action
        self.done = False

    def phase(self, variant: str, phase: Phase, epoch: int, detail: str) -> None:
        if (phase, epoch) == self._when and not self.done:
            self.done = True
            self._action()


@dataclass(frozen=True)
class Ran:
    directory: Path
    end: RunEnd
    verdict: Verdict

    def check(self, name: str) -> Check:
        return next(check for check in self.verdict.checks if check.name == name)

    def evidence(self, name: str) -> str:
        return "\n".join(f"{item.text} ({item.where})" for item in self.check(name).evidence)


@dataclass(frozen=True)
class Range:
    """Where runs are made. Its path is short, so that each run has its qmp.sock."""

    root: Path
    workshop: Workshop

    @property
    def directory(self) -> Path:
        """Of the next run, or of the one that goes on."""
        return self.root / "run"

    def plan(self, scenario_id: str, *sets: str) -> Plan:
        """The plan of a scenario on KERNEL; ``sets`` as in ``harness run --set``."""
        overrides = Overrides(kernels=(KERNEL,), sets=tuple(parse_set(item) for item in sets))
        (variant,) = load_files([Path("scenarios", f"{scenario_id}.yaml")], overrides)
        kernels = self.workshop.kernels(variant.scenario)
        return make_plan(
            run_id="real",
            nonce=NONCE,
            variant=variant.id,
            scenario=variant.scenario,
            scenario_file=variant.file,
            prepared=self.workshop.prepare(variant.scenario, kernels),
        )

    def run(self, plan: Plan, listener: Silent | None = None) -> Ran:
        end = run_plan(plan, self.directory, listener or Silent())
        return Ran(self.directory, end, judge_directory(self.directory, (), text.render))


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    return make_workshop(Places.find(), Choices(), lambda _message: None, this_host())


@pytest.fixture
def machines(workshop: Workshop, nothing_left: None) -> Iterator[Range]:
    with TemporaryDirectory(prefix="harness-") as root:
        yield Range(Path(root), workshop)
