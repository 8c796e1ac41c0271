"""Texts that are kept beside the tests and compared with what is made now."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

TESTDATA = Path(__file__).resolve().parent / "testdata"


def compare(path: Path, text: str) -> None:
    """Hold a text against a kept file; with HARNESS_UPDATE=1 write it, and fail all the same."""
    old = path.read_text(encoding="utf-8") if path.exists() else None
    if old != text and os.environ.get("HARNESS_UPDATE"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        pytest.fail(f"{path} was written again; look at the difference and run once more")
    assert old == text, f"{path} is not what it would be made to be now (HARNESS_UPDATE=1 writes it)"
