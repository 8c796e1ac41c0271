"""The items that scenario files are made of. To collect them is to load the files; :mod:`.running` runs them.

A PASS passes, a FAIL fails, an ERROR is an error (it is raised in the set-up phase), UNSUPPORTED is skipped with its
reason, and a FAIL that known-issues.yaml expects is an expected failure. What is printed is the verdict with its
evidence, never a traceback. JUnit gets status, cause, kernel and record as properties.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import HarnessError, InputError, Interrupted, ScenarioErrors
from harness.load.overrides import Overrides
from harness.load.scenarios import Variant, load_files
from harness.load.selection import runs_by_default

if TYPE_CHECKING:
    from harness.model.verdict import Verdict


_UNTESTED = pytest.StashKey[tuple[int, int]]()


class VerdictError(Exception):
    """Carries a verdict that is not as expected to the report."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"{verdict.cause}: {verdict.headline}")
        self.verdict = verdict


@dataclass(frozen=True)
class Crash:
    """What pytest's summary and JUnit show of a failure: where in the scenario, and one line."""

    path: str
    lineno: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.lineno}: {self.message}"


@dataclass(frozen=True)
class Told:
    """A failure in our words, in place of a traceback; what pytest calls a terminal representation."""

    text: str
    reprcrash: Crash

    def toterminal(self, writer: Any) -> None:
        writer.line(self.text.rstrip())

    def __str__(self) -> str:
        return self.text


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Our words also for what is raised in the set-up phase, where pytest asks no item how to tell it."""
    report = yield
    if isinstance(item, ScenarioItem) and call.excinfo is not None and call.excinfo.errisinstance(_OURS):
        report.longrepr = item.tell(call.excinfo.value)  # type: ignore[assignment]  # duck-typed TerminalRepr
    elif isinstance(item, ScenarioItem) and report.skipped and isinstance(report.longrepr, tuple):
        report.longrepr = (str(item.path), item.variant.line, report.longrepr[2])
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Surveys gather facts and are run only when their file or folder is named."""
    named = {Path(argument.partition("::")[0]).resolve() for argument in config.args}
    left_out: list[pytest.Item] = []
    kept: list[pytest.Item] = []
    for item in items:
        survey = isinstance(item, ScenarioItem) and not runs_by_default(item.variant)
        unasked = survey and not named & {item.path.resolve(), item.path.resolve().parent}
        (left_out if unasked else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A session in which nothing was testable is no success, here as with ``harness run``: pytest's own exit code 5."""
    items = getattr(session, "items", [])
    count = _untested(items)
    session.config.stash[_UNTESTED] = count, len(items)
    if exitstatus == pytest.ExitCode.OK and count and count == len(items):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """How much was not tested: skipped tests are easily overlooked."""
    count, total = config.stash.get(_UNTESTED, (0, 0))
    if count:
        terminalreporter.write_line(f"{count} of {total} could not be tested here")


def _untested(items: list[pytest.Item]) -> int:
    return sum(isinstance(item, ScenarioItem) and item.not_testable for item in items)


def overrides(config: pytest.Config) -> Overrides:
    """What ``--kernel`` and ``--firmware`` replace."""
    return Overrides(kernels=tuple(config.getoption("--kernel")), firmware=tuple(config.getoption("--firmware")))


class ScenarioFile(pytest.File):
    """One YAML file; its variants are the items."""

    def collect(self) -> Iterator[pytest.Item]:
        """The variants of the file, with --kernel and --firmware applied."""
        for variant in load_files([self.path], overrides(self.config)):
            yield ScenarioItem.from_parent(self, name=variant.id, variant=variant)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]
        """Mistakes of the file as ``file:line:col``."""
        if isinstance(excinfo.value, HarnessError):
            return said(excinfo.value)
        return super().repr_failure(excinfo)


class ScenarioItem(pytest.Item):
    """One variant."""

    def __init__(self, *, variant: Variant, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.variant = variant
        self.verdict: Verdict | None = None

    @property
    def not_testable(self) -> bool:
        """It has been tried, and this host or kernel lacks what it needs."""
        return self.verdict is not None and self.verdict.status == "UNSUPPORTED"

    def setup(self) -> None:
        """Run and judge; an ERROR is raised here, because it is not the kernel's fault."""
        from harness.pytest_plugin import running

        self.verdict = running.run(self.config, self.variant)
        self.user_properties += running.properties(self.verdict)
        running.raise_no_answer(self.verdict, require_tested=self.config.getoption("--require-tested"))

    def runtest(self) -> None:
        """A FAIL is raised here."""
        from harness.pytest_plugin import running

        if self.verdict is not None:
            running.raise_failure(self.verdict)

    def tell(self, error: BaseException) -> Told:
        """The verdict, its evidence, and how to look further; or what the harness says about itself."""
        from harness.pytest_plugin import running

        if isinstance(error, VerdictError):
            words = running.words(error.verdict)
        else:
            words = said(error) if isinstance(error, HarnessError) else str(error)
        return Told(words, Crash(str(self.path), self.variant.line, str(error).partition("\n")[0]))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the scenario stands, for clickable lines."""
        return self.path, self.variant.line - 1, self.name


_OURS = (VerdictError, HarnessError)


def said(error: HarnessError) -> str:
    """An error with its hint."""
    if isinstance(error, ScenarioErrors | InputError | Interrupted) and not error.hint:
        return error.message
    return f"{error.message}\n  {error.hint}" if error.hint else error.message
