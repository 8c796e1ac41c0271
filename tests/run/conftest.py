"""Fixtures of the judge's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .records import Copy


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[str], Copy]:
    """A copy of a real record, to be damaged."""
    return lambda name: Copy(name, tmp_path)
