"""What the installed plugin brings into a project that has no scenarios, and into one that only collects them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Told at the very end, when everything that a session imports has been imported.
CONFTEST = """
import json, sys
def pytest_unconfigure(config):
    with open("modules.json", "w") as stream:
        json.dump(sorted(name for name in sys.modules if name.partition(".")[0] in WATCHED), stream)
WATCHED = ("harness", "pydantic", "yaml", "rich", "qemu", "pexpect", "virt")
"""
THIN = ["harness", "harness.pytest_plugin"]
SCENARIO = """\
id: made/one
why: Made to be collected.
matrix: {kernel: [a, b]}
steps: [boot]
expect: [no_crash]
"""
HEAVY = ("session", "report", "machine", "judge", "kernel")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n")
    (tmp_path / "data.yaml").write_text("a: 1\n")
    return tmp_path


def session(project: Path, *arguments: str, status: int = 0) -> str:
    """What a session in the project prints."""
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "harness.pytest_plugin", *arguments]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(argv, cwd=project, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def modules(project: Path, *arguments: str, status: int = 0) -> list[str]:
    """What of us, and of what we need, a session in the project has imported."""
    session(project, *arguments, status=status)
    names: list[str] = json.loads((project / "modules.json").read_text())
    return names


@pytest.mark.parametrize("arguments", [[], ["--collect-only"], ["-k", "it"], ["--accel=auto"]])
def test_a_foreign_project_gets_the_options_and_nothing_else(project: Path, arguments: list[str]) -> None:
    assert modules(project, *arguments) == THIN


def test_collecting_imports_what_loads_scenarios_and_nothing_that_runs_them(project: Path) -> None:
    (project / "scenarios/made").mkdir(parents=True)
    (project / "scenarios/made/one.yaml").write_text(SCENARIO)
    names = modules(project, "--collect-only")
    assert "harness.pytest_plugin.items" in names
    assert "harness.pytest_plugin.running" not in names
    assert [name for name in names if name.startswith(tuple(f"harness.{room}" for room in HEAVY))] == []
    assert {name.partition(".")[0] for name in names} == {"harness", "pydantic", "yaml"}


def test_an_option_that_cannot_be_meant_is_refused_without_scenarios_too(project: Path) -> None:
    assert "harness.pytest_plugin.running" in modules(project, "--accel=hvf", status=pytest.ExitCode.USAGE_ERROR)


def test_many_files_register_the_hooks_once(project: Path) -> None:
    for number in range(3):
        folder = project / f"scenarios/survey/n{number}"
        folder.mkdir(parents=True)
        (folder / "one.yaml").write_text(SCENARIO.replace("made/one", f"survey/n{number}/one"))
    out = session(project, "scenarios", "--collect-only", "-q", status=pytest.ExitCode.NO_TESTS_COLLECTED)
    assert "(6 deselected)" in out
