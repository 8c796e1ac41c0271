"""What runs before a commit is what ``make lint`` runs."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMMAND = re.compile(r"python -m tox run -e (?P<labels>[\w,]+)$")


def hooks() -> list[dict[str, Any]]:
    """Of every repository in the configuration, with where they come from."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    return [{"repo": repo["repo"], **hook} for repo in config["repos"] for hook in repo["hooks"]]


def labels(command: str) -> list[str]:
    """The environments of tox that a command runs, and nothing else."""
    found = COMMAND.search(command)
    assert found is not None, f"{command!r} runs something else than tox"
    return found["labels"].split(",")


def make_lint() -> list[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^lint:[^\n]*\n((?:\t[^\n]*\n)+)", text, re.M)
    assert recipe is not None
    return [label for line in recipe[1].splitlines() for label in labels(line)]


def test_the_hooks_run_what_make_lint_runs() -> None:
    assert (
        [label for hook in hooks() for label in labels(hook["entry"])] == make_lint() == ["lint", "type", "contracts"]
    )


def test_the_hooks_download_nothing_and_see_the_whole_tree() -> None:
    assert {(hook["repo"], hook["language"], hook["pass_filenames"]) for hook in hooks()} == {
        ("local", "system", False)
    }


def test_tox_has_them() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    assert {f"testenv:{label}" for label in make_lint()} <= set(tox.sections())
