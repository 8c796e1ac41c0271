"""Fixtures for the machine: a scripted QEMU, and a check that nothing is left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from harness.machine.feed import Failure, Feed, Success
from harness.machine.happenings import Happening, Match
from harness.machine.machine import Machine
from harness.model.record import EndKind

FAKE = Path(__file__).parents[1] / "fakes" / "fake_qemu.py"
NONCE = "1a2b3c4d"
StartFake = Callable[..., AbstractContextManager[Machine]]


@pytest.fixture(autouse=True)
def _nothing_left(nothing_left: None) -> None:
    """Every test here."""


@pytest.fixture
def start_fake(tmp_path: Path) -> StartFake:
    """``start_fake(script, **keywords of Machine.start)``; the run directory is ``tmp_path``."""

    def start(script: dict[str, Any], feed: Feed | None = None, **keywords: Any) -> AbstractContextManager[Machine]:
        path = tmp_path / "script.json"
        path.write_text(json.dumps(script))
        keywords = {"nonce": NONCE, "start_timeout_s": 10.0, **keywords}
        return Machine.start((str(FAKE), "-fake", str(path)), tmp_path, feed, **keywords)

    return start


def no_failure(_: Happening) -> Failure | None:
    return None


def on_match(happening: Happening) -> Failure | None:
    if isinstance(happening.data, Match):
        return Failure(EndKind.PANIC, happening.data.text, happening)
    return None


def won(outcome: Success[Any] | Failure) -> Success[Any]:
    assert isinstance(outcome, Success), outcome
    return outcome


def lost(outcome: Success[Any] | Failure) -> Failure:
    assert isinstance(outcome, Failure), outcome
    return outcome


def of_kind(kind: str) -> Callable[[Happening], Happening | None]:
    """Succeeds on a happening of that kind, a frame of that kind, an event of that name, or a line with that text."""

    def success(happening: Happening) -> Happening | None:
        data = happening.data
        names = {happening.kind, *(getattr(data, name, None) for name in ("kind", "name", "text"))}
        return happening if kind in names else None

    return success
