from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError, ScenarioErrors
from harness.kernel import entries
from harness.kernel.entries import DebianEntry, FileEntry
from harness.kernel.registry import Registry

GOOD = """\
kind: debian
name: debian-6.1
description: Linux 6.1 of Debian 12
series: "6.1"
flavour: amd64
suites: [bookworm-security, bookworm]
"""


def load(tmp_path: Path, text: str, name: str = "debian-6.1") -> entries.Entry:
    path = tmp_path / f"{name}.yaml"
    path.write_text(text)
    return entries.load(path)


def test_a_debian_entry(tmp_path: Path) -> None:
    entry = load(tmp_path, GOOD + "pin: 6.1.192-2\n")
    assert isinstance(entry, DebianEntry)
    assert (entry.series, entry.suites, entry.pin) == ("6.1", ("bookworm-security", "bookworm"), "6.1.192-2")


def test_a_file_entry(tmp_path: Path) -> None:
    entry = load(tmp_path, "kind: file\nname: mine\ndescription: my own kernel\nimage: bzImage\n", "mine")
    assert entry == FileEntry(kind="file", name="mine", description="my own kernel", image="bzImage")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: debian\n", "", ":1:1: lacks the key 'kind'"),
        ("kind: debian", "kind: source", ":1:7: kind: is 'source'; a kernel is of kind 'debian' or 'file'"),
        ('"6.1"', "6.1", ":4:9: series: is 6.1, text is wanted; put it in quotes"),
        ('"6.1"', '"6"', ":4:9: series: is '6': "),
        ("amd64", "arm64", ":5:10: flavour: is 'arm64': "),
        ("[bookworm-security, bookworm]", "bookworm", ":6:9: suites: is 'bookworm', a list is wanted"),
        ("[bookworm-security, bookworm]", "[]", ":6:9: suites: is []"),
        ("bookworm]", "Bookworm Main]", ":6:29: suites[1]: is 'Bookworm Main'"),
        ("flavour: amd64\n", "", ":1:1: flavour: is missing"),
        ("flavour", "flavor", "flavor: is not a key here; the keys are kind, name, description, series, flavour"),
        ("name: debian-6.1", "name: debian-6.2", ":2:7: name: is 'debian-6.2', but the file is called debian-6.1.yaml"),
        ("name: debian-6.1", "name: kind", "but the file is called"),
        ("series", "name: debian-6.1\nseries", ":4:1: name: "),
        (GOOD, "- a\n", ":1:1: must be a mapping"),
        (GOOD, "", ":1:1: is empty; docs/kernels.md shows an entry"),
    ],
)
def test_mistakes_have_a_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ScenarioErrors) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert message in caught.value.message


def test_every_mistake_of_every_file_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.replace("debian-6.1", "a").replace("amd64", "arm64").replace('"6.1"', "6"))
    (tmp_path / "b.yaml").write_text(GOOD)
    with pytest.raises(ScenarioErrors) as caught:
        entries.load_all(tmp_path)
    assert [(Path(mistake.file).name, mistake.path) for mistake in caught.value.mistakes] == [
        ("a.yaml", "series"),
        ("a.yaml", "flavour"),
        ("b.yaml", "name"),
    ]


def test_known_issues_are_no_kernels(tmp_path: Path) -> None:
    (tmp_path / "known-issues.yaml").write_text("- {}\n")
    (tmp_path / "debian-6.1.yaml").write_text(GOOD)
    assert Registry.load(tmp_path).names == ("debian-6.1",)


def test_names_are_sorted_as_numbers_and_unknown_ones_are_guessed(tmp_path: Path) -> None:
    for name in ("debian-6.12", "debian-6.1", "debian-5.10-cloud", "debian-5.10"):
        (tmp_path / f"{name}.yaml").write_text(GOOD.replace("debian-6.1", name))
    registry = Registry.load(tmp_path)
    assert registry.names == ("debian-5.10", "debian-5.10-cloud", "debian-6.1", "debian-6.12")
    with pytest.raises(InputError, match=r"no kernel 'debian-6.2'; did you mean debian-6.12?") as caught:
        registry.entry("debian-6.2")
    assert "debian-5.10-cloud" in caught.value.hint
    with pytest.raises(InputError, match="no such directory"):
        Registry.load(tmp_path / "none")


def test_the_entries_in_the_tree() -> None:
    registry = Registry.load(Path(__file__).parents[2] / "kernels")
    for series in ("5.10", "6.1", "6.12", "7.2", "7.3"):
        for suffix, flavour in (("", "amd64"), ("-cloud", "cloud-amd64")):
            entry = registry.entry(f"debian-{series}{suffix}")
            assert isinstance(entry, DebianEntry)
            assert (entry.series, entry.flavour, entry.pin) == (series, flavour, None)
