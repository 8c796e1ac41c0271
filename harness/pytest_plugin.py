"""``pytest scenarios``: each variant of a scenario file is a test item, ``FILE.yaml::VARIANT``.

A PASS passes, a FAIL fails, an ERROR is an error (it is raised in the set-up phase), UNSUPPORTED is skipped with its
reason, and a FAIL that known-issues.yaml expects is an expected failure. What is printed is the verdict with its
evidence, never a traceback. JUnit gets status, cause, kernel and record as properties.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, InputError, Interrupted, ScenarioErrors
from harness.load.overrides import Overrides
from harness.load.scenarios import Variant, load_files
from harness.load.selection import runs_by_default
from harness.model.causes import Cause, Status
from harness.model.verdict import Verdict
from harness.record.store import check_writable, stored_text
from harness.report import text
from harness.session.assembly import Choices, make_workshop, this_host
from harness.session.places import Places
from harness.session.session import Options, Session
from harness.session.stops import stops
from harness.stage.listener import Silent

_SESSION = pytest.StashKey[Session]()
_CHOICES = pytest.StashKey[Choices]()


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


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of ``harness run`` that make sense here."""
    group = parser.getgroup("harness", "EFI, kexec and kdump scenarios")
    group.addoption("--kernel", action="append", default=[], metavar="NAME|FILE", help="replace the matrix's kernels")
    group.addoption("--firmware", action="append", default=[], metavar="NAME", help="replace the firmware axis")
    group.addoption("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where records go (runs/)")
    group.addoption("--accel", default="auto", metavar="auto|kvm|tcg", help="accelerator")
    group.addoption("--offline", action="store_true", help="use nothing but the cache")
    group.addoption("--time-factor", type=float, default=1.0, metavar="N", help="give every phase N times as long")
    group.addoption("--no-known-issues", action="store_true", help="as if known-issues.yaml were empty")
    parser.addini("scenario_paths", "folders whose *.yaml are scenarios", type="args", default=["scenarios"])


def pytest_configure(config: pytest.Config) -> None:
    """Refuse what cannot be meant before anything is collected."""
    try:
        config.stash[_CHOICES] = Choices(
            config.getoption("--accel"), config.getoption("--offline"), config.getoption("--time-factor")
        )
    except InputError as error:
        raise pytest.UsageError(_said(error)) from error


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Scenario files below the ``scenario_paths``."""
    if file_path.suffix != ".yaml":
        return None
    roots = [(parent.config.rootpath / name).resolve() for name in parent.config.getini("scenario_paths")]
    if not any(file_path.resolve().is_relative_to(root) for root in roots):
        return None
    collected: pytest.Collector = ScenarioFile.from_parent(parent, path=file_path)
    return collected


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
    left_out = [
        item
        for item in items
        if isinstance(item, ScenarioItem)
        and not runs_by_default(item.variant)
        and not named & {item.path.resolve(), item.path.resolve().parent}
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


class ScenarioFile(pytest.File):
    """One YAML file; its variants are the items."""

    def collect(self) -> Iterator[pytest.Item]:
        """The variants of the file, with --kernel and --firmware applied."""
        overrides = Overrides(
            kernels=tuple(self.config.getoption("--kernel")), firmware=tuple(self.config.getoption("--firmware"))
        )
        for variant in load_files([self.path], overrides):
            yield ScenarioItem.from_parent(self, name=variant.id, variant=variant)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]
        """Mistakes of the file as ``file:line:col``."""
        if isinstance(excinfo.value, HarnessError):
            return _said(excinfo.value)
        return super().repr_failure(excinfo)


class ScenarioItem(pytest.Item):
    """One variant."""

    def __init__(self, *, variant: Variant, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.variant = variant
        self.verdict: Verdict | None = None

    def setup(self) -> None:
        """Run and judge; an ERROR is raised here, because it is not the kernel's fault."""
        session = _session(self.config)
        with stops(session):
            self.verdict = verdict = session.run_one(self.variant)
        for name in ("status", "cause", "kernel", "release", "run_dir"):
            self.user_properties.append((f"harness.{name}", str(getattr(verdict, name) or "")))
        self.user_properties.append(("harness.attempts", str(1 + len(verdict.attempts))))
        if verdict.cause is Cause.INTERRUPTED:
            record = f"; record: {verdict.run_dir}" if verdict.run_dir else ""
            pytest.exit(f"{verdict.headline}{record}", returncode=pytest.ExitCode.INTERRUPTED)
        if verdict.status is Status.UNSUPPORTED:
            pytest.skip(verdict.headline)
        if verdict.status is Status.ERROR:
            raise VerdictError(verdict)

    def runtest(self) -> None:
        """A FAIL is raised here."""
        verdict = self.verdict
        if verdict is None or verdict.status is Status.PASS:
            return
        if verdict.known is not None:
            pytest.xfail(f"{verdict.cause}: {verdict.known.reason}")
        raise VerdictError(verdict)

    def tell(self, error: BaseException) -> Told:
        """The verdict, its evidence, and how to look further; or what the harness says about itself."""
        if isinstance(error, VerdictError):
            words = stored_text(error.verdict) or text.render(error.verdict)
        else:
            words = _said(error) if isinstance(error, HarnessError) else str(error)
        return Told(words, Crash(str(self.path), self.variant.line, str(error).partition("\n")[0]))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the scenario stands, for clickable lines."""
        return self.path, self.variant.line - 1, self.name


_OURS = (VerdictError, HarnessError)


def _session(config: pytest.Config) -> Session:
    """One session for all items: kernels, firmware and initrds are prepared once."""
    if _SESSION not in config.stash:
        places = Places.find()
        runs = config.getoption("--runs")
        check_writable(runs)
        issues = () if config.getoption("--no-known-issues") else places.known_issues()
        host = this_host()
        workshop = make_workshop(places, config.stash[_CHOICES], lambda _message: None, host)
        options = Options(runs, 1, issues, text.render, host.memory_available_bytes)
        config.stash[_SESSION] = Session(workshop, options, Silent())
    return config.stash[_SESSION]


def _said(error: HarnessError) -> str:
    if isinstance(error, ScenarioErrors | InputError | Interrupted) and not error.hint:
        return error.message
    return f"{error.message}\n  {error.hint}" if error.hint else error.message
