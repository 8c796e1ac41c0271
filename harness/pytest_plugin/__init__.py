"""``pytest scenarios``: each variant of a scenario file is a test item, ``FILE.yaml::VARIANT``.

pytest loads an installed plugin into every project, those that have no scenarios included. So only the options are
here; :mod:`.items` comes in with the first scenario file, and :mod:`.running` with the first item that is run.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

_ROOTS = pytest.StashKey[tuple[Path, ...]]()
_ITEMS = "harness.pytest_plugin.items"
ACCEL, TIME_FACTOR = "auto", 1.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of ``harness run`` that make sense here."""
    group = parser.getgroup("harness", "EFI, kexec and kdump scenarios")
    group.addoption("--kernel", action="append", default=[], metavar="NAME|FILE", help="replace the matrix's kernels")
    group.addoption("--firmware", action="append", default=[], metavar="NAME", help="replace the firmware axis")
    group.addoption("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where records go (runs/)")
    group.addoption("--accel", default=ACCEL, metavar="auto|kvm|tcg", help="accelerator")
    group.addoption("--offline", action="store_true", help="use nothing but the cache")
    group.addoption(
        "--time-factor", type=float, default=TIME_FACTOR, metavar="N", help="give every phase N times as long"
    )
    group.addoption("--no-known-issues", action="store_true", help="as if known-issues.yaml were empty")
    group.addoption(
        "--require-tested", action="store_true", help="a scenario that cannot be tested here (UNSUPPORTED) is an error"
    )
    parser.addini("scenario_paths", "folders whose *.yaml are scenarios", type="args", default=["scenarios"])


def pytest_configure(config: pytest.Config) -> None:
    """Refuse what cannot be meant before anything is collected. What was not given needs no look."""
    if (config.getoption("--accel"), config.getoption("--time-factor")) != (ACCEL, TIME_FACTOR):
        from harness.pytest_plugin import running

        running.choices(config)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Scenario files below the ``scenario_paths``."""
    if file_path.suffix != ".yaml":
        return None
    roots = _roots(parent.config)
    if not any(file_path.resolve().is_relative_to(root) for root in roots):
        return None
    collected: pytest.Collector = _items(parent.config).ScenarioFile.from_parent(parent, path=file_path)
    return collected


def _roots(config: pytest.Config) -> tuple[Path, ...]:
    """Resolved once, for a project may have thousands of YAML files."""
    if _ROOTS not in config.stash:
        names = config.getini("scenario_paths")
        config.stash[_ROOTS] = tuple((config.rootpath / name).resolve() for name in names)
    return config.stash[_ROOTS]


def _items(config: pytest.Config) -> ModuleType:
    """The items, and their hooks."""
    from harness.pytest_plugin import items

    if not config.pluginmanager.has_plugin(_ITEMS):
        config.pluginmanager.register(items, _ITEMS)
    return items
