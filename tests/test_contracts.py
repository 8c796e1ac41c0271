"""Each import contract of pyproject.toml goes red on an import that it is there to forbid."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
EFFECTS = {"act", "disk", "groundtruth"}
"""The modules of a subject that have effects."""
BAD = {
    "layers": ("evidence/ranges.py", "import harness.record.store"),
    "effects": ("evidence/ranges.py", "import subprocess"),
    "machines": ("subjects/kexec/subject.py", "import harness.subjects.kexec.act"),
    "reports": ("session/places.py", "import harness.report.text"),
    "subjects": ("subjects/kexec/subject.py", "import harness.subjects.seams.acpi"),
    "kernels": ("kernel/debian/deb.py", "import harness.kernel.image.images"),
}
"""By the contract's id: a module, and what it must not import."""
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


def lint(directory: Path, contract: str) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports_command as main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache", "--contract", contract],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's modules, to be damaged."""
    directory = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "harness", directory / "harness", ignore=shutil.ignore_patterns("files", "agent", "*.pyc"))
    shutil.copy(ROOT / "pyproject.toml", directory)
    return directory


@pytest.mark.parametrize("contract", BAD)
def test_red_on_a_bad_import(tree: Path, contract: str) -> None:
    name, line = BAD[contract]
    module = tree / "harness" / name
    good = module.read_text(encoding="utf-8")
    kept = lint(tree, contract)
    module.write_text(good.replace("from __future__ import annotations", f"{line}\n"), encoding="utf-8")
    broken = lint(tree, contract)
    module.write_text(good, encoding="utf-8")
    assert (kept.returncode, broken.returncode) == (0, 1), kept.stdout + broken.stdout + broken.stderr
    assert f"harness.{name.removesuffix('.py').replace('/', '.')} -> {line.removeprefix('import ')}" in broken.stdout


def test_every_contract_has_its_bad_import() -> None:
    assert {contract["id"] for contract in CONTRACTS} == set(BAD)


def test_every_subject_is_kept_apart() -> None:
    (contract,) = (contract for contract in CONTRACTS if contract["id"] == "subjects")
    packages = {path.parent.name for path in (ROOT / "harness/subjects").glob("*/__init__.py")}
    assert set(contract["modules"]) == {f"harness.subjects.{name}" for name in packages}


def test_the_roots_of_the_contracts_reach_all_that_judges() -> None:
    """A module of a subject that neither the registry nor the planner reaches would be held to no contract."""
    graph = grimp.build_graph("harness", cache_dir=None)
    reached = graph.find_upstream_modules("harness.subjects.registry") | graph.find_upstream_modules(
        "harness.plan", as_package=True
    )
    files = [path for path in (ROOT / "harness/subjects").glob("*/*.py") if path.stem != "__init__"]
    free = {f"harness.subjects.{path.parent.name}.{path.stem}" for path in files if path.stem not in EFFECTS}
    assert free
    assert free <= reached
