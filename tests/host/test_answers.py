"""The cache of answers about this machine."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from harness import clock
from harness.cache import Cache
from harness.host.answers import MAX_AGE_S, AnswerCache


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    then = clock.utc() + datetime.timedelta(seconds=seconds)
    monkeypatch.setattr(clock, "utc", lambda: then)


@pytest.fixture
def answers(tmp_path: Path) -> AnswerCache:
    return AnswerCache(Cache(tmp_path / "cache"), "test")


def test_answer_comes_back(answers: AnswerCache, tmp_path: Path) -> None:
    answers.put("key", {"works": True})
    answers.put("other", {"works": False})
    assert AnswerCache(Cache(tmp_path / "cache"), "test").get("key") == {"works": True}
    assert answers.get("none") is None


def test_answer_grows_old(answers: AnswerCache, monkeypatch: pytest.MonkeyPatch) -> None:
    answers.put("key", {"works": True})
    later(monkeypatch, MAX_AGE_S - 60)
    assert answers.get("key") == {"works": True}
    later(monkeypatch, 120)
    assert answers.get("key") is None


def test_answer_from_the_future_does_not_count(answers: AnswerCache, monkeypatch: pytest.MonkeyPatch) -> None:
    later(monkeypatch, 3600)
    answers.put("key", {"works": True})
    later(monkeypatch, -7200)
    assert answers.get("key") is None


BROKEN = ["", "{", "[]", '"x"', '{"key": 1}', '{"key": {"at_s": "x", "answer": {}}}', "\xff\xfe"]


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_broken_record_is_no_answer_and_is_replaced(answers: AnswerCache, tmp_path: Path, text: str) -> None:
    answers.put("key", {"n": 0})
    (tmp_path / "cache/host/test.json").write_bytes(text.encode("latin-1"))
    assert answers.get("key") is None
    answers.put("key", {"n": 1})
    assert answers.get("key") == {"n": 1}


def test_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    answers = AnswerCache(Cache(tmp_path / "file"), "test")
    answers.put("key", {"n": 1})
    assert answers.get("key") is None
