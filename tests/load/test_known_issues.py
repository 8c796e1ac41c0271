"""known-issues.yaml: errors with places, and which entry counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ScenarioErrors
from harness.judge.known import match
from harness.load.known_issues import load_known_issues
from harness.model.causes import Cause
from harness.model.scenario import Scenario
from harness.model.verdict import KnownIssue

ENTRY = """\
- scenario: esrt/kexec-load
  kernel: debian-*
  cause: esrt-corrupt
  epoch: 2
  reason: The reservation never arrives where kexec-tools looks.
  reference: af1648984828
"""
Load = Callable[..., tuple[KnownIssue, ...]]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.chdir(tmp_path)

    def call(text: str, ids: tuple[str, ...] = ()) -> tuple[KnownIssue, ...]:
        Path("k.yaml").write_text(text, encoding="utf-8")
        return load_known_issues(Path("k.yaml"), ids)

    return call


def test_entries_in_the_order_of_the_file(load: Load) -> None:
    issues = load(ENTRY + ENTRY.replace("kexec-load", "other").replace("  epoch: 2\n", ""))
    assert [issue.scenario for issue in issues] == ["esrt/kexec-load", "esrt/other"]
    assert (issues[0].cause, issues[0].epoch, issues[1].epoch) == (Cause.ESRT_CORRUPT, 2, None)


def test_none_is_an_empty_list(load: Load) -> None:
    assert load("[]\n") == ()


def test_every_mistake_with_its_place(load: Load) -> None:
    text = (
        ENTRY.replace("esrt-corrupt", "esrt-corupt").replace("epoch: 2", "epoch: two")
        + "- {scenaro: a/b, reason: x}\n- 3\n"
    )
    with pytest.raises(ScenarioErrors) as caught:
        load(text)
    said = str(caught.value).splitlines()
    assert said[0].startswith("k.yaml:3:10: [0].cause: 'esrt-corupt' is not possible; allowed: esrt-corrupt, ")
    assert said[0].endswith("; did you mean 'esrt-corrupt'?")
    assert said[1:] == [
        "k.yaml:4:10: [0].epoch: 'two' is not a whole number",
        f"k.yaml:7:3: [1].cause: is missing; allowed: {', '.join(Cause)}",
        "k.yaml:7:3: [1].kernel: is missing",
        "k.yaml:7:3: [1].reference: is missing",
        "k.yaml:7:3: [1].scenario: is missing",
        "k.yaml:7:4: [1].scenaro: 'scenaro' is not a key here; allowed: scenario, kernel, started_by, hypervisor, "
        "cause, epoch, reason, reference; did you mean 'scenario'?",
        "k.yaml:7:26: [1].reason: is too short; at least 20 characters are needed",
        "k.yaml:8:3: [2]: 3 is not a mapping; keys allowed: scenario, kernel, started_by, hypervisor, cause, epoch, "
        "reason, reference",
    ]


def test_not_a_number_is_refused_like_a_number(load: Load) -> None:
    """A NaN is unequal to itself: comparing trees with one in them went round for ever."""
    with pytest.raises(ScenarioErrors, match=r"\.nan is not a mapping; keys allowed: scenario, kernel"):
        load("- .nan\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "k.yaml:1:1: is empty; write [] for a list without entries"),
        ("a: b", "k.yaml:1:1: a mapping is not a list of known issues; write [] for none"),
        ("- [", "k.yaml:1:4: is not YAML: the end of the file inside a list or mapping that is not closed"),
    ],
)
def test_a_file_that_is_no_list(load: Load, text: str, message: str) -> None:
    with pytest.raises(ScenarioErrors) as caught:
        load(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("later", ["debian-*", "debian-6.1*", "debian-?.1", "debian-6.1-cloud"])
def test_an_entry_behind_one_that_matches_as_much_is_a_mistake(load: Load, later: str) -> None:
    with pytest.raises(
        ScenarioErrors, match=r"k.yaml:7:3: \[1\]: is never used: the entry in line 1 matches everything"
    ):
        load(ENTRY + ENTRY.replace("debian-*", later))


@pytest.mark.parametrize(("first", "later"), [("debian-6.1*", "debian-*"), ("a?", "a*"), ("a???", "a*"), ("ab", "a?")])
def test_a_special_entry_before_a_general_one_is_right(load: Load, first: str, later: str) -> None:
    assert len(load(ENTRY.replace("debian-*", first) + ENTRY.replace("debian-*", later))) == 2


def test_an_entry_for_a_scenario_that_is_gone_is_a_mistake(load: Load) -> None:
    assert load(ENTRY, ("esrt/kexec-load",))
    with pytest.raises(ScenarioErrors) as caught:
        load(ENTRY, ("esrt/kexec-loads", "bgrt/kexec-load"))
    assert str(caught.value) == (
        "k.yaml:1:13: [0].scenario: 'esrt/kexec-load' matches no scenario; did you mean 'esrt/kexec-loads'?"
    )


def run(name: str, hypervisor: str = "") -> Scenario:
    values: dict[str, Any] = {"id": name, "why": "A test.", "kernel": "k", "steps": ["boot"], "expect": ["no_crash"]}
    return Scenario.model_validate(values | ({"hypervisor": {"name": hypervisor}} if hypervisor else {}))


def test_the_first_entry_that_matches_counts(load: Load) -> None:
    special = ENTRY.replace("debian-*", "debian-5.10").replace("epoch: 2", "epoch: 3")
    issues = load(special + ENTRY)
    assert match(issues, run("esrt/kexec-load"), ["debian-5.10"] * 3) == issues[0]
    assert match(issues, run("esrt/kexec-load"), ["debian-6.1-cloud"] * 3) == issues[1]
    assert match(issues, run("esrt/kexec-load"), ["bzImage"] * 3) is None
    assert match(issues, run("esrt/kexec-file"), ["debian-6.1-cloud"] * 3) is None
    assert match((), run("esrt/kexec-load"), ["debian-6.1-cloud"] * 3) is None


def test_an_entry_for_one_hypervisor(load: Load) -> None:
    special = ENTRY.replace("  cause", "  hypervisor: xen-4.1?\n  cause")
    issues = load(special + ENTRY)
    assert match(issues, run("esrt/kexec-load", "xen-4.17"), ["debian-6.1"] * 2) == issues[0]
    assert match(issues, run("esrt/kexec-load", "xen-4.20"), ["debian-6.1"] * 2) == issues[1]
    assert match(issues, run("esrt/kexec-load"), ["debian-6.1"] * 2) == issues[1]
    assert match(issues[:1], run("esrt/kexec-load"), ["debian-6.1"] * 2) is None
    with pytest.raises(ScenarioErrors, match="is never used"):
        load(ENTRY + special)


def test_an_entry_is_about_the_kernel_that_fails(load: Load) -> None:
    """It is that of the entry's epoch, or of the one that failed; ``started_by`` is the one before."""
    scenario = run("esrt/kexec-load")
    (second,) = load(ENTRY.replace("debian-*", "debian-5.10"))
    assert match([second], scenario, ["debian-6.12", "debian-5.10"]) == second
    assert match([second], scenario, ["debian-5.10", "debian-6.12"]) is None
    (started,) = load(ENTRY.replace("debian-*", "debian-5.10\n  started_by: debian-6.12"))
    assert match([started], scenario, ["debian-6.12", "debian-5.10"], 2) == started
    assert match([started], scenario, ["debian-6.1", "debian-5.10"], 2) is None
    (either,) = load(ENTRY.replace("debian-*", "debian-5.10").replace("  epoch: 2\n", ""))
    assert match([either], scenario, ["debian-6.12", "debian-5.10"], 2) == either
    assert match([either], scenario, ["debian-6.12", "debian-5.10"], 1) is None
    assert match([either], scenario, ["debian-6.12", "debian-5.10"]) == either
