"""What a run tells while it goes on; ``harness.report.progress`` shows it."""

from __future__ import annotations

from typing import Protocol

from harness.model.record import Phase
from harness.model.verdict import Verdict


class Listener(Protocol):
    """Called from several threads; must be quick."""

    def started(self, variant: str) -> None:
        """A variant's turn has come."""

    def phase(self, variant: str, phase: Phase, epoch: int, detail: str) -> None:
        """A run has entered a phase."""

    def line(self, variant: str, line: str) -> None:
        """The guest's console has printed a line."""

    def message(self, message: str) -> None:
        """Something about the whole: a download, a build."""

    def finished(self, verdict: Verdict) -> None:
        """A variant has its verdict."""


class Silent:
    """Listens to nothing; for ``harness judge``, tests and the pytest plugin."""

    def started(self, variant: str) -> None:
        pass

    def phase(self, variant: str, phase: Phase, epoch: int, detail: str) -> None:
        pass

    def line(self, variant: str, line: str) -> None:
        pass

    def message(self, message: str) -> None:
        pass

    def finished(self, verdict: Verdict) -> None:
        pass
