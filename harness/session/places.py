"""Where scenarios and kernels are found. Finding them costs nothing; what lies there is read when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import harness

if TYPE_CHECKING:
    from harness.kernel.registry import Registry
    from harness.model.verdict import KnownIssue

KNOWN_ISSUES = "known-issues.yaml"
_PACKAGE = Path(harness.__file__).resolve().parent


def data_directory(name: str) -> Path:
    """``./NAME`` where there is one, else that of the checkout, else the copy inside the installed package."""
    candidates = (Path(name), _PACKAGE.parent / name, _PACKAGE / "data" / name)
    return next((path for path in candidates if path.is_dir()), candidates[0])


@dataclass(frozen=True)
class Places:
    """Where scenarios and kernels are."""

    scenarios: Path
    kernels: Path

    @classmethod
    def find(cls, scenarios: Path | None = None, kernels: Path | None = None) -> Places:
        return cls(scenarios or data_directory("scenarios"), kernels or data_directory("kernels"))

    def registry(self) -> Registry:
        """The kernels that have a name."""
        from harness.kernel.registry import Registry  # fetches and builds: a third of all imports

        return Registry.load(self.kernels)

    def known_issues(self) -> tuple[KnownIssue, ...]:
        """The bugs that are expected; none when there is no known-issues.yaml."""
        path = self.kernels / KNOWN_ISSUES
        if not path.exists():
            return ()
        from harness.load.known_issues import load_known_issues  # with the words of verdicts
        from harness.load.scenarios import find_files, load_files

        ids = {variant.scenario.id for variant in load_files(find_files(self.scenarios))}
        return load_known_issues(path, ids)
