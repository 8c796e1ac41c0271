"""The benchmark measures what it says: whole maps of so many entries."""

from __future__ import annotations

import pytest

from benchmarks import memmap
from harness.evidence.listings import mapread


def test_the_log_is_one_map_of_so_many_entries() -> None:
    (found,) = mapread.read(memmap.log_of(123)).maps
    assert len(found.entries) == 123
    assert not found.remarks
    assert len({entry.region.type for entry in found.entries}) == 7


def test_every_step_is_measured() -> None:
    assert set(memmap.seconds(30, 1)) == {"read", "show", "draw", "import"}


@pytest.mark.parametrize(("aim", "status", "word"), [(1000.0, 0, "met"), (0.0, 1, "MISSED")])
def test_the_status_tells_whether_it_grows_too_fast(
    aim: float, status: int, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(memmap, "AIM_RATIO", aim)
    assert memmap.main(["--rounds", "1", "20", "200"]) == status
    assert capsys.readouterr().out.rstrip().endswith(word)
