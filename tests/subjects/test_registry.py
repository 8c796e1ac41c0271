"""What is claimed, and that what nobody claims cannot load"""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.model.base import members
from harness.model.causes import Cause, Status
from harness.model.words.expectations import AnyExpectation
from harness.model.words.steps import AnyStep
from harness.subjects import registry
from harness.subjects.acts import ACTS
from harness.subjects.claims import UnclaimedError, once

ADDED = """
from harness.model.words import {module}
from harness.model.base import {base}

class Dummy({base}):
    dummy: int = 0

{module}.{union} = {module}.{union} | Dummy
import harness.subjects.{room}
"""


def load(**words: str) -> subprocess.CompletedProcess[str]:
    """Load a registry in an interpreter where a union has one member more."""
    command = [sys.executable, "-c", ADDED.format(**words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    "words",
    [
        {"module": "expectations", "union": "AnyExpectation", "base": "ExpectationValue", "room": "registry"},
        {"module": "steps", "union": "AnyStep", "base": "StepValue", "room": "registry"},
        {"module": "steps", "union": "AnyStep", "base": "StepValue", "room": "acts"},
    ],
    ids=["expectation", "step", "act"],
)
def test_a_member_that_nobody_claims_cannot_load(words: dict[str, str]) -> None:
    done = load(**words)
    assert done.returncode != 0
    assert "UnclaimedError" in done.stderr
    assert "claimed by no subject: Dummy" in done.stderr


def test_every_member_is_claimed_by_the_registry_that_loaded() -> None:
    assert set(registry.EXPECTATIONS) == set(members(AnyExpectation))
    assert set(registry.STEPS) == set(members(AnyStep)) == set(ACTS)
    assert set(registry.CAUSES) == set(Cause)


@pytest.mark.parametrize(
    "claims", [[{"a": 1}], [{"a": 1}, {"a": 1, "b": 2}], [{"a": 1, "b": 2}, {"c": 3}]], ids=["none", "two", "ghost"]
)
def test_each_is_claimed_exactly_once(claims: list[dict[str, int]]) -> None:
    with pytest.raises(UnclaimedError):
        once("letter", ("a", "b"), claims)
    assert once("letter", ("a", "b"), [{"a": 1}, {"b": 2}]) == {"a": 1, "b": 2}


def test_a_cause_that_only_repeats_another_is_a_cause() -> None:
    families = {cause: cause.family for cause in Cause}
    assert all(cause in family for cause, family in families.items())
    assert Cause.DOM0_CRASHED in families[Cause.XEN_TABLE_UNPROTECTED]


def test_only_fails_are_ranked() -> None:
    ranks = [cause.rank for cause in Cause if cause.status is Status.FAIL]
    assert ranks == list(range(len(ranks)))
    assert {cause.rank for cause in Cause if cause.status is not Status.FAIL} == {len(Cause)}


def test_names_of_always_checks_are_unique_and_in_order() -> None:
    assert len({item.name for item in registry.ALWAYS}) == len({item.place for item in registry.ALWAYS})
    assert registry.ALWAYS[0].name == "run"
