""".ci/run and conftest.py: what must not look like a pass does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PASSED = "======== 116 passed, 2 skipped in 65.28s (0:01:05) ========"


def ci(tmp_path: Path, output: str, status: int) -> subprocess.CompletedProcess[str]:
    """.ci/run on a tree where ``make test`` prints ``output``."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    (tmp_path / "output").write_text(output + "\n")
    (tmp_path / "Makefile").write_text(f'test:\n\t@cat output; echo "CI is $$CI"; exit {status}\n')
    return subprocess.run(
        ["bash", str(tmp_path / ".ci/run")], capture_output=True, text=True, timeout=60, check=False, cwd="/"
    )


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.splitlines()[-1]


def test_closing_line_of_pytest_comes_last(tmp_path: Path) -> None:
    done = ci(tmp_path, f"{PASSED}\n  tests: OK (70.1 seconds)\n  congratulations :)", 0)
    assert (done.returncode, last_line(done)) == (0, PASSED)
    assert "CI is true" in done.stdout


def test_last_pytest_counts(tmp_path: Path) -> None:
    failed = "===== 1 failed, 3 passed in 2.00s ====="
    done = ci(tmp_path, f"{PASSED}\n{failed}", 1)
    assert (done.returncode != 0, last_line(done)) == (True, failed)


def test_failure_elsewhere_stays_a_failure(tmp_path: Path) -> None:
    assert ci(tmp_path, f"lint: FAIL\n{PASSED}", 1).returncode != 0


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("congratulations :)", "pytest did not come to its end"),
        ("==== no tests ran in 0.01s ====", "no test passed"),
        ("==== 5 skipped in 0.01s ====", "no test passed"),
        ("==== 5 deselected in 0.01s ====", "pytest did not come to its end"),
    ],
)
def test_green_run_that_tested_nothing_is_red(tmp_path: Path, output: str, said: str) -> None:
    done = ci(tmp_path, output, 0)
    assert done.returncode == 1
    assert said in done.stderr


def run_marked(tmp_path: Path, *options: str, ci: str | None) -> subprocess.CompletedProcess[str]:
    """A test marked ``qemu`` on a machine without QEMU."""
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = qemu: x\n")
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.qemu\ndef test_machine(): pass\ndef test_plain(): pass\n"
    )
    environ = {key: value for key, value in os.environ.items() if key not in {"CI", "PATH", "PYTEST_ADDOPTS"}}
    environ |= {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT)} | ({} if ci is None else {"CI": ci})
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("value", [None, "", "false"])
def test_without_qemu_a_machine_test_is_skipped_with_the_reason_at_home(tmp_path: Path, value: str | None) -> None:
    done = run_marked(tmp_path, ci=value)
    assert done.returncode == 0
    assert "1 passed, 1 skipped" in done.stdout
    assert "qemu-system-x86_64: not on PATH (apt-get install qemu-system-x86)" in done.stdout


@pytest.mark.parametrize(("options", "value"), [((), "true"), ((), "1"), (("--require-qemu",), None)])
def test_without_qemu_a_machine_test_is_an_error_in_ci(
    tmp_path: Path, options: tuple[str, ...], value: str | None
) -> None:
    done = run_marked(tmp_path, *options, ci=value)
    assert done.returncode == 1
    assert "1 passed, 1 error" in done.stdout
    assert "this test needs a machine, and qemu-system-x86_64: not on PATH" in done.stdout
