"""What a run tells while it goes on; ``harness.report.progress`` shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from harness.errors import InternalError
from harness.internal import internal_error
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


class Shielded:
    """Passes all on to a listener, and nothing back: one that fails is told nothing more, and the run goes on."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.fault: InternalError | None = None
        """Why it is told nothing more; a bug, for a reader that goes away is no error (harness.cli.out.output)."""

    def started(self, variant: str) -> None:
        self._tell(lambda: self._listener.started(variant))

    def phase(self, variant: str, phase: Phase, epoch: int, detail: str) -> None:
        self._tell(lambda: self._listener.phase(variant, phase, epoch, detail))

    def line(self, variant: str, line: str) -> None:
        self._tell(lambda: self._listener.line(variant, line))

    def message(self, message: str) -> None:
        self._tell(lambda: self._listener.message(message))

    def finished(self, verdict: Verdict) -> None:
        self._tell(lambda: self._listener.finished(verdict))

    def _tell(self, call: Callable[[], None]) -> None:
        if self.fault is not None:
            return
        try:
            call()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is no reason to end a run
            self.fault = internal_error(error)
