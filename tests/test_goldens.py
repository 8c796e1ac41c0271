"""The update mode writes, and is red all the same: nobody updates a golden text without a look at it."""

from __future__ import annotations

from pathlib import Path

import pytest
from goldens import compare


def test_same(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a\n")
    compare(tmp_path / "kept", "a\n")


@pytest.mark.parametrize("old", [None, "b\n"])
def test_other_is_red_and_stays(tmp_path: Path, old: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_UPDATE", raising=False)
    path = tmp_path / "kept"
    if old is not None:
        path.write_text(old)
    with pytest.raises(AssertionError, match="HARNESS_UPDATE=1 writes it"):
        compare(path, "a\n")
    assert path.exists() == (old is not None)


def test_update_is_red_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_UPDATE", "1")
    path = tmp_path / "new" / "kept"
    with pytest.raises(pytest.fail.Exception, match="was written again"):
        compare(path, "a\n")
    assert path.read_text() == "a\n"
    compare(path, "a\n")
