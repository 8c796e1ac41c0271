"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache_of_its_own(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes to the user's cache; those that start machines read the real one, where the kernels are."""
    if request.node.get_closest_marker("qemu") is None:
        factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
        monkeypatch.setenv("HARNESS_CACHE", str(Path(factory.getbasetemp(), "cache")))
