"""Records of runs that captured a dump, to be damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.kdump_records import Kdump


@pytest.fixture
def raw(tmp_path: Path) -> Kdump:
    return Kdump("raw", tmp_path)


@pytest.fixture
def filtered(tmp_path: Path) -> Kdump:
    return Kdump("filtered", tmp_path)
