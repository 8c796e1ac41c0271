"""The run directory on disk: written while a run goes on, read back for the judge."""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from harness import clock
from harness.errors import HostError, InputError
from harness.model.base import Value
from harness.model.plan import Plan
from harness.model.record import Entry, RunEnd
from harness.model.verdict import Verdict
from harness.run.record import Record, UnreadableRecordError

_V = TypeVar("_V", bound=Value)
_ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)


def check_writable(runs: Path) -> None:
    """Make the runs directory, or say why it cannot be.

    Raises:
        InputError: it cannot be created or written.
    """
    probe = runs / f".probe-{clock.utc():%f}"
    try:
        runs.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"{runs}: the runs directory cannot be written ({error.strerror})",
            hint="Give another one with --runs DIR.",
        ) from error


class RunWriter:
    """Writes one run directory. Safe to use from several threads; every line is on disk when the call returns."""

    def __init__(self, directory: Path, plan: Plan) -> None:
        self.directory = directory
        self._lock = threading.Lock()
        self.started_s = clock.now_s()
        self._bodies = 0
        try:
            for name in ("samples", "facts"):
                (directory / name).mkdir(parents=True)
            (directory / "plan.json").write_text(plan.model_dump_json(indent=1) + "\n")
            self._journal = (directory / "journal.jsonl").open("a", encoding="utf-8")
        except OSError as error:
            raise HostError(
                f"{directory}: cannot write the run's record ({error.strerror})",
                hint="Look at the free space and the permissions, or give another directory with --runs DIR.",
            ) from error

    def now_s(self) -> float:
        """Seconds since the run started."""
        return round(clock.now_s() - self.started_s, 4)

    def append(self, entry: Entry) -> None:
        """Add one entry to the journal."""
        with self._lock:
            self._journal.write(entry.model_dump_json() + "\n")
            self._journal.flush()

    def body(self, label: str, data: bytes) -> str:
        """Keep a frame's body; returns its name relative to the run directory."""
        with self._lock:
            self._bodies += 1
            number = self._bodies
        name = f"facts/{number:03d}-{re.sub(r'[^A-Za-z0-9-]', '_', label)}"
        (self.directory / name).write_bytes(data)
        return name

    def sample(self, label: str, data: bytes) -> tuple[str, str]:
        """Keep sampled memory; returns its name and SHA-256."""
        name = f"samples/{label}.bin"
        (self.directory / name).write_bytes(data)
        return name, hashlib.sha256(data).hexdigest()

    def finish(self, end: RunEnd) -> None:
        """Write how the run ended and close the journal."""
        (self.directory / "end.json").write_text(end.model_dump_json(indent=1) + "\n")
        with self._lock:
            self._journal.close()


def read_record(directory: Path) -> Record:
    """The record of a run, whole or cut short.

    Raises:
        InputError: this is no run directory, or its plan cannot be read.
    """
    plan_file = directory / "plan.json"
    try:
        plan = Plan.model_validate_json(plan_file.read_bytes())
    except FileNotFoundError as error:
        raise InputError(
            f"{directory}: not a run directory (no plan.json)", hint="Give a directory below runs/."
        ) from error
    except OSError as error:
        raise InputError(f"{plan_file}: {error.strerror}") from error
    except ValidationError as error:
        raise InputError(
            f"{plan_file}: not a plan of this version of harness ({error.error_count()} errors)",
            hint="The record was written by another version, or it was edited.",
        ) from error
    return Record(
        plan=plan,
        end=_read_value(directory / "end.json", RunEnd),
        entries=_read_journal(directory / "journal.jsonl"),
        read=lambda name: _read_inside(directory, name),
        read_payload=_read_payload,
    )


def write_verdict(directory: Path, verdict: Verdict, text: str) -> None:
    """Put the verdict beside the record it was made from."""
    (directory / "verdict.json").write_text(verdict.model_dump_json(indent=1) + "\n")
    (directory / "verdict.txt").write_text(text)


def _read_value(path: Path, kind: type[_V]) -> _V | None:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _read_journal(path: Path) -> tuple[Entry, ...]:
    """All entries; a last line that was cut short (a killed harness) is left out."""
    entries: list[Entry] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    for number, line in enumerate(lines, 1):
        try:
            entries.append(_ENTRY.validate_json(line))
        except ValidationError as error:
            if number == len(lines):
                break
            raise InputError(f"{path}:{number}:1: not a journal entry", hint="The record was edited.") from error
    return tuple(entries)


def _read_inside(directory: Path, name: str) -> bytes:
    path = directory / name
    if not path.resolve().is_relative_to(directory.resolve()):
        raise UnreadableRecordError(f"{name}: points outside the run directory")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableRecordError(f"{name}: {error.strerror}") from error


def _read_payload(path: str, offset: int, size_bytes: int) -> bytes | None:
    try:
        with Path(path).open("rb") as stream:
            stream.seek(offset)
            return stream.read(size_bytes)
    except OSError:
        return None
