"""Fixtures of the loader's tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.load import Overrides, Variant, load_files


@pytest.fixture
def kept() -> Callable[[Path, str], None]:
    """Compare a text with a kept file; with HARNESS_UPDATE=1 write it, and fail all the same."""

    def compare(path: Path, text: str) -> None:
        old = path.read_text(encoding="utf-8") if path.exists() else None
        if old != text and os.environ.get("HARNESS_UPDATE"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            pytest.fail(f"{path} was written again; look at the difference and run once more")
        assert old == text, f"{path} is not what it would be made to be now (HARNESS_UPDATE=1 writes it)"

    return compare


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., tuple[Variant, ...]]:
    """Load a text as the only scenario file."""

    def call(text: str, overrides: Overrides = Overrides()) -> tuple[Variant, ...]:  # noqa: B008
        path = tmp_path / "file.yaml"
        path.write_text(text, encoding="utf-8")
        return load_files([path], overrides)

    return call
