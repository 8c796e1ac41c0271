"""The document of ``harness run --json``: it says what the process says, of runs that were stopped too."""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.cli.exits import Exit, exit_of
from harness.cli.output import delivered
from harness.errors import HarnessError, InputError, Interrupted
from harness.internal import internal_error
from harness.model.verdict import Verdict
from harness.session.attempts import tally, untested


@dataclass(frozen=True)
class Document:
    """Where it goes (None: nowhere, ``-``: standard output), and the variant of each run that was asked for."""

    path: Path | None
    turns: tuple[str, ...]

    @property
    def on_stdout(self) -> bool:
        return str(self.path) == "-"

    def check(self) -> None:
        """Look now, and not after the last run.

        Raises:
            InputError: the file cannot be written.
        """
        path = self.path
        if path is None or self.on_stdout:
            return
        if path.is_dir():
            raise InputError(f"--json {path}: this is a directory", hint="name a file in it, or - for standard output")
        if not path.parent.is_dir():
            raise InputError(f"--json {path}: there is no directory {path.parent}")
        try:
            with tempfile.TemporaryFile(dir=path.parent), suppress(FileNotFoundError), path.open("r+b"):
                pass
        except OSError as error:
            raise InputError(f"--json {path}: cannot be written ({error.strerror})") from error

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
            raise self._ended(internal_error(error)) from error

    def not_run(self, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
        """The variants of the runs that have no verdict, in order, one as often as its runs."""
        left = Counter(self.turns) - Counter(verdict.variant for verdict in verdicts)
        return tuple(variant for variant in dict.fromkeys(self.turns) for _ in range(left[variant]))

    def write(self, status: Exit, verdicts: Sequence[Verdict], error: HarnessError | None = None) -> bool:
        """Write it, if it was asked for; False, and a line on stderr, when it could not be written.

        Args:
            status: the exit code of the process.
            error: what ended all, in place of verdicts.
        """
        if self.path is None:
            return True
        document = {
            "format": 1,
            "exit": int(status),
            "error": error.message if error is not None else None,
            "flaky": [item.model_dump(mode="json") for item in tally(verdicts) if item.flaky],
            "verdicts": [verdict.model_dump(mode="json") for verdict in verdicts],
            "not_testable": untested(verdicts),
            "not_run": self.not_run(verdicts),
        }
        lost = _put(self.path, json.dumps(document, indent=1) + "\n")
        if lost:
            print(
                f"harness: --json {self.path}: cannot be written ({lost})\n"
                "  the verdicts are in the records: harness judge RUNDIR --json",
                file=sys.stderr,
            )
        return not lost

    def _ended(self, error: HarnessError) -> HarnessError:
        self.write(exit_of(error), (), error)
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
