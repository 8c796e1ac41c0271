"""The documents of ``harness run``, such as that of --json: they say what the process says, of stopped runs too."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.cli.exits import Exit, exit_of
from harness.cli.out.output import delivered
from harness.cli.out.reports import Target
from harness.errors import HarnessError, Interrupted
from harness.internal import by_interrupt, internal_error
from harness.model.verdict import Verdict
from harness.report.results import Results


@dataclass(frozen=True)
class Documents:
    """In which formats and where to, and the variant of each run that was asked for."""

    targets: tuple[Target, ...]
    turns: tuple[str, ...]

    @property
    def on_stdout(self) -> bool:
        return any(target.is_stdout for target in self.targets)

    @contextmanager
    def of_what_ends_all(self) -> Iterator[None]:
        """An error inside is written down, and raised again: no earlier document may stay and be taken for this one.

        Raises:
            Interrupted: in place of KeyboardInterrupt.
            InternalError: in place of what nobody foresaw.
        """
        try:
            yield
        except KeyboardInterrupt as error:
            raise self._ended(Interrupted("stopped on request")) from error
        except HarnessError as error:
            self._ended(error)
            raise
        except Exception as error:
            if by_interrupt(error):
                raise self._ended(Interrupted("stopped on request")) from error
            raise self._ended(internal_error(error)) from error

    def not_run(self, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
        """The variants of the runs that have no verdict, in order, one as often as its runs."""
        left = Counter(self.turns) - Counter(verdict.variant for verdict in verdicts)
        return tuple(variant for variant in dict.fromkeys(self.turns) for _ in range(left[variant]))

    def results(self, status: Exit, verdicts: Sequence[Verdict], error: HarnessError | None = None) -> Results:
        """What the formats tell.

        Args:
            status: the exit code of the process.
            error: what ended all, in place of verdicts.
        """
        told = error.message if error is not None else None
        return Results(verdicts, len(self.turns), int(status), self.not_run(verdicts), told)

    def write(self, results: Results) -> bool:
        """Write all that were asked for; False, and a line each on stderr, when one could not be written."""
        lost = {target: why for target in self.targets if (why := _put(target.path, target.format.all(results)))}
        for target, why in lost.items():
            print(
                f"harness: {target.option}: cannot be written ({why})\n"
                "  the verdicts are in the records: harness judge RUNDIR --json",
                file=sys.stderr,
            )
        return not lost

    def _ended(self, error: HarnessError) -> HarnessError:
        self.write(self.results(exit_of(error), (), error))
        return error


def _put(path: Path, text: str) -> str:
    """Returns why it could not be written, or nothing."""
    if str(path) == "-":
        return delivered(text)
    try:
        try:
            path.write_text(text, encoding="utf-8")
        except KeyboardInterrupt:
            if not path.is_file():  # a pipe that nobody reads
                raise
            path.write_text(text, encoding="utf-8")  # all is done, and this takes no time
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""
