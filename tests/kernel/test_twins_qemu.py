"""The proof that the harness would have found a bug: the same scenario on a kernel and on its twin with the bug.

Both kernels must be in the cache, or HARNESS_SLOW set, as .ci/run does: building the first takes 8 to 15 minutes on
two cores.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.cache import default_cache
from harness.cli import main
from harness.kernel.build import built
from harness.kernel.registry import Registry

ROOT = Path(__file__).parents[2]


def need(name: str, *, ever_built_here: bool = True) -> None:
    """Skip when the kernel is not built; with HARNESS_SLOW the run builds it, unless that is not worth the minutes."""
    recipe = Registry.load(ROOT / "kernels").recipe(name)
    assert recipe is not None
    if not (ever_built_here and os.environ.get("HARNESS_SLOW")) and built.look(recipe, default_cache()) is None:
        pytest.skip(f"{name} is not built: harness kernels build {name}, or set HARNESS_SLOW=1")


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("kernel", "exit_status", "status", "cause"),
    [("tiny-6.1", 0, "PASS", None), ("tiny-6.1+esrt-e820", 1, "FAIL", "esrt-corrupt")],
)
def test_a_put_back_bug_is_found(tmp_path: Path, kernel: str, exit_status: int, status: str, cause: str | None) -> None:
    need(kernel)
    assert run(tmp_path, "esrt/kexec-file", kernel) == (exit_status, status, cause)


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("kernel", "exit_status", "status", "cause"),
    [("tiny-6.1", 0, "PASS", None), ("tiny-6.1+below-16m", 1, "FAIL", "kernel-misplaced")],
)
def test_a_kernel_below_16_mib_is_found(
    tmp_path: Path, kernel: str, exit_status: int, status: str, cause: str | None
) -> None:
    need(kernel, ever_built_here=False)
    assert run(tmp_path, "placement/low-hole", kernel) == (exit_status, status, cause)


def run(directory: Path, scenario: str, kernel: str) -> tuple[int, str, str | None]:
    """Exit status, status and cause."""
    report = directory / "report.json"
    places = [f"--scenarios={ROOT / 'scenarios'}", f"--kernels={ROOT / 'kernels'}", f"--runs={directory / 'runs'}"]
    done = main(["run", scenario, f"--kernel={kernel}", *places, f"--json={report}"])
    (verdict,) = json.loads(report.read_text())["verdicts"]
    return done, verdict["status"], verdict["cause"]
