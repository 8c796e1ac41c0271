"""Files with mistakes in tests/load/bad, and beside each the exact messages (NAME.expected)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import ScenarioErrors
from harness.load import load_files

BAD = Path(__file__).parent / "bad"
FILES = sorted(path.stem for path in BAD.glob("*.yaml"))


@pytest.mark.parametrize("name", FILES)
def test_the_messages_are_exactly_those(
    name: str, kept: Callable[[Path, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BAD)
    with pytest.raises(ScenarioErrors) as caught:
        load_files([Path(f"{name}.yaml")])
    kept(BAD / f"{name}.expected", f"{caught.value}\n")


def test_no_expected_file_is_left_over() -> None:
    assert sorted(path.stem for path in BAD.glob("*.expected")) == FILES
    assert len(FILES) >= 20


def test_messages_are_ours() -> None:
    """No wording of pydantic or PyYAML, no URL, one line each."""
    foreign = ("Input should", "Field required", "Extra inputs", "Value error", "https://", "<block", "mapping values")
    for path in BAD.glob("*.expected"):
        text = path.read_text(encoding="utf-8")
        assert not [word for word in foreign if word in text], path
        assert all(line.startswith((f"{path.stem}.yaml:", f"{path.stem}.map:")) for line in text.splitlines()), path


def test_mistakes_of_all_files_come_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    with pytest.raises(ScenarioErrors) as caught:
        load_files([Path("empty.yaml"), Path("bad-id.yaml"), Path("missing.yaml")])
    assert [mistake.file for mistake in caught.value.mistakes] == ["bad-id.yaml", "empty.yaml", "missing.yaml"]
