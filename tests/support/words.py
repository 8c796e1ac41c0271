"""The wording of verdicts, held in one place: tests/testdata/words has a file for each test module.

A test says ``told(verdict)`` or ``told(check)``, which gives it back, and asks itself only for causes, places, values.
What the test was told is compared with the module's file, where each test has a section. With HARNESS_UPDATE=1 the
section is written again, and the test fails all the same: the difference is for a person to read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
from goldens import TESTDATA

from harness.model.verdict import Check, Verdict

WORDS = TESTDATA / "words"
_HEAD = re.compile(r"^== (.*)$", re.MULTILINE)
Said = TypeVar("Said", Verdict, Check)


class Told(Protocol):
    """Takes note of what a verdict or a check says, and gives it back."""

    def __call__(self, said: Said, /) -> Said: ...


class Notes:
    """What one test was told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, said: Said, /) -> Said:
        """Note it."""
        text = _verdict(said) if isinstance(said, Verdict) else _check(said)
        if text not in self.texts:
            self.texts.append(text)
        return said


def _verdict(verdict: Verdict) -> str:
    """Its headline, and the checks that have its cause."""
    main = [check for check in verdict.checks if check.cause is verdict.cause and check.status is verdict.status]
    if verdict.cause is None:
        return f"{verdict.status}: {verdict.headline}\n"
    return f"{verdict.status} {verdict.cause}, epoch {verdict.epoch}\n" + "".join(_check(check) for check in main)


def _check(check: Check) -> str:
    lines = [
        f"{check.name}: {check.status}{f' {check.cause}' if check.cause else ''}",
        *check.summary.splitlines(),
        *(f"* {item.text}{f' @{item.where}' if item.where else ''}" for item in check.evidence),
        *([f"> {check.hint}"] if check.hint else []),
    ]
    return "".join(f"{'  ' if number else ''}{line}\n" for number, line in enumerate(lines))


def home(module: Path) -> Path:
    """The file of a test module: ``tests/subjects/xen/test_bgrt.py`` has ``words/subjects/xen/bgrt.txt``."""
    place = module.relative_to(TESTDATA.parent)
    return WORDS / place.parent / f"{place.stem.removeprefix('test_')}.txt"


def sections(path: Path) -> dict[str, str]:
    """The texts of a file by the tests that they are of."""
    _, *parts = _HEAD.split(path.read_text(encoding="utf-8")) if path.exists() else [""]
    return {name: text.strip("\n") + "\n" for name, text in zip(parts[::2], parts[1::2], strict=True)}


def compare(path: Path, test: str, text: str) -> None:
    """Hold what a test was told against its section.

    Raises:
        AssertionError: it is another text, or there is none.
    """
    kept = sections(path)
    text = text.strip("\n") + "\n"
    if kept.get(test) != text and os.environ.get("HARNESS_UPDATE"):
        _write(path, {**kept, test: text})
        pytest.fail(f"{path}: the section of {test} was written again; look at the difference and run once more")
    assert kept.get(test) == text, f"{path}: the section of {test} is not what is said now (HARNESS_UPDATE=1 writes it)"


def _write(path: Path, kept: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(f"== {name}\n{kept[name]}" for name in sorted(kept)), encoding="utf-8")


def name_of(test: str) -> str:
    """A test's name with its parameters, on one line."""
    return test.replace("\n", "\\n")
