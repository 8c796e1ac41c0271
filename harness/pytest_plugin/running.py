"""Runs a scenario's item, and tells pytest what came of it; imported when the first one runs."""

from __future__ import annotations

import pytest

from harness.errors import InputError
from harness.load.scenarios import Variant
from harness.model.causes import Cause, Status
from harness.model.verdict import Verdict
from harness.pytest_plugin import items
from harness.pytest_plugin.items import VerdictError, said
from harness.record.store import check_writable, stored_text
from harness.report import text
from harness.session.again import Given
from harness.session.assembly import Choices, make_workshop, this_host
from harness.session.places import Places
from harness.session.session import Options, Session
from harness.session.stops import stops
from harness.stage.listener import Silent

_SESSION = pytest.StashKey[Session]()


def choices(config: pytest.Config) -> Choices:
    """How machines are started.

    Raises:
        pytest.UsageError: an option that cannot be meant.
    """
    try:
        return Choices(config.getoption("--accel"), config.getoption("--offline"), config.getoption("--time-factor"))
    except InputError as error:
        raise pytest.UsageError(said(error)) from error


def run(config: pytest.Config, variant: Variant) -> Verdict:
    """Run and judge one variant."""
    session = _session(config)
    with stops(session):
        return session.run_one(variant)


def _session(config: pytest.Config) -> Session:
    """One session for all items: kernels, firmware and initrds are prepared once."""
    if _SESSION not in config.stash:
        places = Places.find()
        runs = config.getoption("--runs")
        check_writable(runs)
        issues = () if config.getoption("--no-known-issues") else places.known_issues()
        host, chosen = this_host(), choices(config)
        workshop = make_workshop(places, chosen, lambda _message: None, host)
        given = Given(
            chosen, items.overrides(config), runs=runs, known_issues=not config.getoption("--no-known-issues")
        )
        options = Options(runs, 1, issues, text.render, host.memory_available_bytes, given.command)
        config.stash[_SESSION] = Session(workshop, options, Silent())
    return config.stash[_SESSION]


def properties(verdict: Verdict) -> list[tuple[str, object]]:
    """What JUnit gets of a verdict."""
    names = ("status", "cause", "kernel", "release", "run_dir")
    found: list[tuple[str, object]] = [(f"harness.{name}", str(getattr(verdict, name) or "")) for name in names]
    return [*found, ("harness.attempts", str(1 + len(verdict.attempts)))]


def raise_no_answer(verdict: Verdict, *, require_tested: bool) -> None:
    """Raise what says nothing about the kernel: an ERROR, a skip for UNSUPPORTED, pytest's exit for Ctrl-C.

    Args:
        require_tested: UNSUPPORTED is an ERROR, too.
    """
    if verdict.cause is Cause.INTERRUPTED:
        record = f"; record: {verdict.run_dir}" if verdict.run_dir else ""
        pytest.exit(f"{verdict.headline}{record}", returncode=pytest.ExitCode.INTERRUPTED)
    if verdict.status is Status.UNSUPPORTED and not require_tested:
        pytest.skip(verdict.headline)
    if verdict.status in (Status.ERROR, Status.UNSUPPORTED):
        raise VerdictError(verdict)


def raise_failure(verdict: Verdict) -> None:
    """Raise a FAIL, as an expected failure when it is a known one."""
    if verdict.status is Status.PASS:
        return
    if verdict.known is not None:
        pytest.xfail(f"{verdict.cause}: {verdict.known.reason}")
    raise VerdictError(verdict)


def words(verdict: Verdict) -> str:
    """The verdict and its evidence."""
    return stored_text(verdict) or text.render(verdict)
