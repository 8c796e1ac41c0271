from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError, ScenarioErrors
from harness.kernel import entries
from harness.kernel.entries import DebianEntry, FileEntry, SourceEntry, TwinEntry
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
    ("old", "new", "message"),
    [
        (", suites: [bookworm]", "", ":4:9: source: needs debian and suites together"),
        ("{debian: linux-source-6.1, suites: [bookworm]}", "{}", "source: needs exactly one of debian, tree and tarb"),
        ("suites: [bookworm]", "suites: [bookworm], tree: x", "source: needs exactly one of"),
        ("{debian: linux-source-6.1, suites: [bookworm]}", "{tree: x, pin: 6.1.1-1}", "source: has a pin"),
        ("linux-source-6.1", "linux-image-6.1", ":4:18: source.debian: is 'linux-image-6.1'"),
        ("suites", "suite", "source.suite: is not a key here; the keys are debian, suites, pin, tree, tarball"),
        ("base: t", "bases: t", "config.bases: is not a key here; the keys are base, fragments"),
        ("[one]", "one", "patches: is 'one', a list is wanted"),
        ("-tiny\n", "'- tiny'\n", "localversion: is '- tiny'"),
    ],
)
def test_mistakes_of_a_source_entry(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SOURCE
    with pytest.raises(ScenarioErrors) as caught:
        load(tmp_path, SOURCE.replace(old, new), "tiny")
    assert message in caught.value.message


def test_a_twin_needs_an_entry_that_is_built(tmp_path: Path) -> None:
    (tmp_path / "tiny+bug.yaml").write_text(TWIN)
    with pytest.raises(ScenarioErrors, match=r"tiny\+bug.yaml:4:5: of: is 'tiny', which is no entry of kind source"):
        entries.load_all(tmp_path)
    (tmp_path / "tiny.yaml").write_text(SOURCE)
    found = entries.load_all(tmp_path)
    assert isinstance(found["tiny+bug"][0], TwinEntry)
    (tmp_path / "again.yaml").write_text(TWIN.replace("tiny+bug", "again").replace("of: tiny", "of: tiny+bug"))
    with pytest.raises(ScenarioErrors, match=r"of: is 'tiny\+bug', which is no entry of kind source; there are: tiny$"):
        entries.load_all(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: debian\n", "", ":1:1: lacks the key 'kind'"),
        (
            "kind: debian",
            "kind: git",
            ":1:7: kind: is 'git'; an entry is debian, file, source, twin, hypervisor",
        ),
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
    for name in registry.names:
        recipe = registry.recipe(name)  # reads every fragment and patch that is named
        assert (recipe is None) == (not name.startswith("tiny-"))
