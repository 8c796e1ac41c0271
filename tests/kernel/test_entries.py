from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError, ScenarioErrors
from harness.kernel import entries
from harness.kernel.kinds.debian import DebianEntry
from harness.kernel.kinds.file import FileEntry
from harness.kernel.kinds.kind import Entry
from harness.kernel.kinds.source import SourceEntry, TwinEntry
from harness.kernel.registry import Registry

GOOD = """\
kind: debian
name: debian-6.1
description: Linux 6.1 of Debian 12
series: "6.1"
flavour: amd64
suites: [bookworm-security, bookworm]
"""


def load(tmp_path: Path, text: str, name: str = "debian-6.1") -> Entry:
    path = tmp_path / f"{name}.yaml"
    path.write_text(text)
    return entries.load(path)


def places(error: ScenarioErrors) -> list[tuple[int, int, str]]:
    return [(mistake.line, mistake.column, mistake.path) for mistake in error.mistakes]


def test_a_debian_entry(tmp_path: Path) -> None:
    entry = load(tmp_path, GOOD + "pin: 6.1.192-2\n")
    assert isinstance(entry, DebianEntry)
    assert (entry.series, entry.suites, entry.pin) == ("6.1", ("bookworm-security", "bookworm"), "6.1.192-2")


def test_a_file_entry(tmp_path: Path) -> None:
    entry = load(tmp_path, "kind: file\nname: mine\ndescription: my own kernel\nimage: bzImage\n", "mine")
    assert entry == FileEntry(kind="file", name="mine", description="my own kernel", image="bzImage")


SOURCE = """\
kind: source
name: tiny
description: for a test of building
source: {debian: linux-source-6.1, suites: [bookworm]}
config: {base: tinyconfig, fragments: [base, mine/more.config]}
patches: [one]
localversion: -tiny
"""
TWIN = "kind: twin\nname: tiny+bug\ndescription: with a bug put back\nof: tiny\npatches: [bug]\n"


def test_a_source_entry(tmp_path: Path) -> None:
    entry = load(tmp_path, SOURCE, "tiny")
    assert isinstance(entry, SourceEntry)
    assert (entry.source.debian, entry.source.suites) == ("linux-source-6.1", ("bookworm",))
    assert (entry.config.base, entry.config.fragments) == ("tinyconfig", ("base", "mine/more.config"))
    assert (entry.patches, entry.localversion) == (("one",), "-tiny")


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        (", suites: [bookworm]", "", (4, 9, "source")),
        ("{debian: linux-source-6.1, suites: [bookworm]}", "{}", (4, 9, "source")),
        ("suites: [bookworm]", "suites: [bookworm], tree: x", (4, 9, "source")),
        ("{debian: linux-source-6.1, suites: [bookworm]}", "{tree: x, pin: 6.1.1-1}", (4, 9, "source")),
        ("linux-source-6.1", "linux-image-6.1", (4, 18, "source.debian")),
        ("suites", "suite", (4, 36, "source.suite")),
        ("base: t", "bases: t", (5, 10, "config.bases")),
        ("[one]", "one", (6, 10, "patches")),
        ("-tiny\n", "'- tiny'\n", (7, 15, "localversion")),
    ],
)
def test_mistakes_of_a_source_entry(tmp_path: Path, old: str, new: str, place: tuple[int, int, str]) -> None:
    assert old in SOURCE
    with pytest.raises(ScenarioErrors) as caught:
        load(tmp_path, SOURCE.replace(old, new), "tiny")
    assert places(caught.value) == [place]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("suites", "suite", "allowed: debian, suites, pin, tree, tarball; did you mean 'suites'?"),
        ("base: t", "bases: t", "allowed: base, fragments; did you mean 'base'?"),
        ("[one]", "one", "write '- ' before each item, or [a, b]"),
        ("linux-source-6.1", "linux-image-6.1", "it looks like 'linux-source-6.12'"),
        ("kind: source", "kind: sourc", "allowed: debian, file, source, twin, hypervisor; did you mean 'source'?"),
    ],
)
def test_a_mistake_says_what_is_allowed(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ScenarioErrors) as caught:
        load(tmp_path, SOURCE.replace(old, new), "tiny")
    assert message in caught.value.message


def test_a_twin_needs_an_entry_that_is_built(tmp_path: Path) -> None:
    (tmp_path / "tiny+bug.yaml").write_text(TWIN)
    with pytest.raises(ScenarioErrors, match=r"tiny\+bug.yaml:4:5: of: is 'tiny', which is no entry of kind source"):
        entries.load_all(tmp_path)
    (tmp_path / "tiny.yaml").write_text(SOURCE)
    found = entries.load_all(tmp_path)
    assert isinstance(found["tiny+bug"].entry, TwinEntry)
    (tmp_path / "again.yaml").write_text(TWIN.replace("tiny+bug", "again").replace("of: tiny", "of: tiny+bug"))
    with pytest.raises(ScenarioErrors, match=r"of: is 'tiny\+bug', which is no entry of kind source; there are: tiny$"):
        entries.load_all(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("kind: debian\n", "", (1, 1, "kind")),
        ("kind: debian", "kind: git", (1, 7, "kind")),
        ("kind: debian", "kind: [debian]", (1, 7, "kind")),
        ('"6.1"', "6.1", (4, 9, "series")),
        ('"6.1"', '"6"', (4, 9, "series")),
        ("amd64", "arm64", (5, 10, "flavour")),
        ("[bookworm-security, bookworm]", "bookworm", (6, 9, "suites")),
        ("[bookworm-security, bookworm]", "[]", (6, 9, "suites")),
        ("bookworm]", "Bookworm Main]", (6, 29, "suites[1]")),
        ("flavour: amd64\n", "", (1, 1, "flavour")),
        ("name: debian-6.1", "name: debian-6.2", (2, 7, "name")),
        ("name: debian-6.1", "name: kind", (2, 7, "name")),
        ("series", "name: debian-6.1\nseries", (4, 1, "name")),
        (GOOD, "- a\n", (1, 1, "")),
        (GOOD, "", (1, 1, "")),
    ],
)
def test_mistakes_have_a_place(tmp_path: Path, old: str, new: str, place: tuple[int, int, str]) -> None:
    assert old in GOOD
    with pytest.raises(ScenarioErrors) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert places(caught.value) == [place]


def test_a_wrong_key_is_told_beside_the_one_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ScenarioErrors) as caught:
        load(tmp_path, GOOD.replace("flavour", "flavor"))
    assert places(caught.value) == [(1, 1, "flavour"), (5, 1, "flavor")]


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
    for name in registry.names:
        recipe = registry.recipe(name)  # reads every fragment and patch that is named
        assert (recipe is None) == (not name.startswith("tiny-"))
