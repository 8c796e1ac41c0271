"""pytest, for the whole repository: what happens to tests that start machines where there is no QEMU.

At home they are skipped, and the reason is shown. In CI (``CI`` is set), or with ``--require-qemu``, they are errors:
a run that tested nothing must not look like one that passed.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from harness.host.probe import QEMU, probe

_LACKING = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option that turns skips into errors."""
    parser.addoption(
        "--require-qemu",
        action="store_true",
        default=os.environ.get("CI", "").lower() in {"1", "true", "yes"},
        help="tests that need QEMU or OVMF are errors where it is missing, instead of skips (default when CI is set)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that needs a machine, or make it an error, where there can be none."""
    if item.get_closest_marker("qemu") is None:
        return
    if _LACKING not in item.config.stash:
        item.config.stash[_LACKING] = _lacking()
    lacking = item.config.stash[_LACKING]
    if not lacking:
        return
    if item.config.getoption("--require-qemu"):
        pytest.fail(f"this test needs a machine, and {lacking}", pytrace=False)
    pytest.skip(lacking)


def _lacking() -> str:
    host = probe(Path(tempfile.gettempdir()))
    wanted = [host.finding(QEMU), host.finding("firmware")]
    return "; ".join(f"{item.name}: {item.seen} ({item.hint})" for item in wanted if not item.ok)
