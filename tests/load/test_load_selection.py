"""Patterns of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from load_samples import SCENARIO

from harness.errors import InputError, ScenarioErrors
from harness.load import Overrides, Variant, load_selection, select
from harness.load.reading import yaml12
from harness.load.reading.document import Document
from harness.load.selection import glob_matches


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("esrt/kexec-file", "esrt/kexec-load", "bgrt/kexec-load", "survey/tables"):
        path = Path("scenarios", f"{name}.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SCENARIO.replace("group/name", name))
    return Path("scenarios")


def ids(variants: tuple[Variant, ...]) -> list[str]:
    return sorted({variant.scenario.id for variant in variants})


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], ["bgrt/kexec-load", "esrt/kexec-file", "esrt/kexec-load"]),
        (["esrt/kexec-file"], ["esrt/kexec-file"]),
        (["esrt/*"], ["esrt/kexec-file", "esrt/kexec-load"]),
        (["*/kexec-load", "esrt/*"], ["bgrt/kexec-load", "esrt/kexec-file", "esrt/kexec-load"]),
        (["survey/tables"], ["survey/tables"]),
        (["scenarios/bgrt"], ["bgrt/kexec-load"]),
        (["scenarios/bgrt/kexec-load.yaml"], ["bgrt/kexec-load"]),
        (["scenarios"], ["bgrt/kexec-load", "esrt/kexec-file", "esrt/kexec-load", "survey/tables"]),
        (["./scenarios/esrt/kexec-file.yaml", "survey/*"], ["esrt/kexec-file", "survey/tables"]),
    ],
)
def test_patterns(root: Path, patterns: list[str], expected: list[str]) -> None:
    assert ids(load_selection(root, patterns)) == expected


def test_a_variant_in_brackets_is_one_variant(root: Path) -> None:
    wanted = "esrt/kexec-file[debian-6.12,ovmf-x64]"
    assert [variant.id for variant in load_selection(root, [wanted])] == [wanted]
    assert len(load_selection(root, ["esrt/*[debian-6.1,*]"])) == 2


def test_a_variant_in_brackets_is_looked_for_after_the_override(root: Path) -> None:
    overrides = Overrides(kernels=("/x/bzImage", "debian-7.3"))
    wanted = "esrt/kexec-file[bzImage,ovmf-x64]"
    assert [variant.id for variant in load_selection(root, [wanted], overrides)] == [wanted]
    with pytest.raises(InputError, match=r"is no variant; there are esrt/kexec-file\[bzImage,ovmf-x64\]"):
        load_selection(root, ["esrt/kexec-file[debian-6.1,ovmf-x64]"], overrides)


def test_overrides_change_only_what_is_selected(root: Path) -> None:
    # steps[2] exists in none of the others.
    path = root / "esrt" / "kexec-load.yaml"
    path.write_text(path.read_text().replace("expect:", "  - kexec: {syscall: file}\nexpect:"))
    overrides = Overrides(sets=(("steps[2].kexec.syscall", "load"),))
    assert ids(load_selection(root, ["esrt/kexec-load"], overrides)) == ["esrt/kexec-load"]
    with pytest.raises(ScenarioErrors, match="steps has only 2 items"):
        load_selection(root, ["esrt/*"], overrides)


def test_an_id_wins_over_a_folder_of_the_same_name(root: Path) -> None:
    Path("esrt/kexec-file").mkdir(parents=True)
    with pytest.raises(InputError, match="no scenario file"):
        load_selection(root, ["./esrt/kexec-file"])
    variants = load_selection(root, ["scenarios"])
    assert ids(select(variants, ["esrt/kexec-file"])) == ["esrt/kexec-file"]


@pytest.mark.parametrize(
    ("pattern", "message", "hint"),
    [
        ("esrt/kexec-fil", "'esrt/kexec-fil' matches no scenario; did you mean 'esrt/kexec-file'?", "harness list"),
        ("esrt", "'esrt' is no scenario", "for all of them write 'esrt/*'"),
        ("esrt/kexec-file[x]", "'esrt/kexec-file[x]' is no variant; there are esrt/kexec-file[debian-6.1,", ""),
        ("nothing/*", "'nothing/*' matches no scenario", "harness list"),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused(root: Path, pattern: str, message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        load_selection(root, ["bgrt/kexec-load", pattern])
    assert caught.value.message.startswith(message)
    assert hint in caught.value.hint


@pytest.mark.parametrize("path", ["nowhere.yaml", "./nowhere"])
def test_a_path_that_is_not_there_is_refused(root: Path, path: str) -> None:
    with pytest.raises(InputError, match=r"nowhere.*: cannot be read: no such file or directory"):
        load_selection(root, [path])


def test_an_empty_root_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no scenario file"):
        load_selection(tmp_path)


def test_globs_know_only_star_and_question_mark() -> None:
    assert glob_matches("a/*", "a/b/c")
    assert glob_matches("a?c[1]", "abc[1]")
    assert not glob_matches("a[bc]", "ab")
    assert not glob_matches("a.c", "abc")
    assert not glob_matches("ab", "abc")


def test_each_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("group/one", "group/two")
    for name in names:
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(SCENARIO.replace("group/name", name))
    seen: list[str] = []

    def read(path: Path) -> Document:
        seen.append(path.stem)
        return original(path)

    original = yaml12.read
    monkeypatch.setattr(yaml12, "read", read)
    plain = load_selection(tmp_path, ["group/one"])
    assert seen == ["one", "two"]
    changed = load_selection(tmp_path, ["group/one"], Overrides(kernels=("other",)))
    assert seen == ["one", "two"] * 2
    assert [variant.scenario.kernel for variant in plain] == ["debian-6.1", "debian-6.12"]
    assert [variant.scenario.kernel for variant in changed] == ["other"]
