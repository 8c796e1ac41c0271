"""A host of its own for each test, none of it real but harness."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.fake_host import FakeHost


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FakeHost]:
    host = FakeHost.build(tmp_path)
    yield host
    host.end()


@pytest.fixture(autouse=True)
def _nothing_left(nothing_left: None) -> None:
    """No command leaves a process, a thread or an open file."""
