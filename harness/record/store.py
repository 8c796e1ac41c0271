"""The run directory on disk: written while a run goes on, read back for the judge."""

from __future__ import annotations

import hashlib
import re
import threading
from contextlib import suppress
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness import clock
from harness.errors import HostError, InputError
from harness.model import autopsy
from harness.model.base import Value
from harness.model.plan import Plan
from harness.model.record import SYMBOLS_FILE, VMCORE_DMESG, Entry, RunEnd
from harness.model.verdict import Verdict
from harness.record.files import open_big, read_inside, read_payload
from harness.record.record import Record, UnreadableRecordError

_ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)
_FORMAT_ONLY: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_FORMAT = 1
_LABEL_CHARS = 64
_VERDICT_TEXT = "verdict.txt"
_EVIDENCE = (
    "plan.json",
    "journal.jsonl",
    "console.log",
    "qemu.stderr",
    "qemu.log",
    "facts/*",
    "samples/*.bin",
    autopsy.FILE,
    SYMBOLS_FILE,
    VMCORE_DMESG,
)
"""The files of a record that a verdict is made from."""


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
        self.plan = plan
        self._entries: list[Entry] = []
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
            self._entries.append(entry)

    def record(self) -> Record:
        """What is written so far, for those who look while the run goes on: its journal is in memory, only the files
        that are asked for are read."""
        with self._lock:
            entries = tuple(self._entries)
        read = partial(_read_unsealed, self.directory)
        return Record(plan=self.plan, end=None, entries=entries, read=read, read_payload=read_payload)

    def body(self, label: str, data: bytes) -> str:
        """Keep a frame's body; returns its name relative to the run directory."""
        with self._lock:
            self._bodies += 1
            number = self._bodies
        name = f"facts/{number:03d}-{re.sub(r'[^A-Za-z0-9-]', '_', label)[:_LABEL_CHARS]}"
        (self.directory / name).write_bytes(data)
        return name

    def sample(self, label: str, data: bytes) -> tuple[str, str]:
        """Keep sampled memory; returns its name and SHA-256."""
        name = f"samples/{label}.bin"
        (self.directory / name).write_bytes(data)
        return name, hashlib.sha256(data).hexdigest()

    def document(self, name: str, value: Value) -> None:
        """Keep a value as a JSON file.

        Raises:
            HostError: it cannot be written.
        """
        try:
            (self.directory / name).write_text(value.model_dump_json(indent=1) + "\n")
        except OSError as error:
            raise HostError(f"{self.directory / name}: cannot be written ({error.strerror})") from error

    def finish(self, end: RunEnd) -> None:
        """Close the journal and write how the run ended, with the hashes of all that a verdict is made from.

        Raises:
            HostError: it cannot be written.
        """
        with self._lock, suppress(OSError):  # what could not be written before cannot be now; the end may still be
            self._journal.close()
        try:
            sealed = end.model_copy(update={"files": file_hashes(self.directory)})
            (self.directory / "end.json").write_text(sealed.model_dump_json(indent=1) + "\n")
        except OSError as error:
            raise HostError(
                f"{self.directory}: cannot write the run's record ({error.strerror})",
                hint="Look at the free space, or give another directory with --runs DIR.",
            ) from error


def file_hashes(directory: Path) -> dict[str, str]:
    """SHA-256 of each file of a record that a verdict is made from, by its name in the run directory."""
    paths = sorted(path for pattern in _EVIDENCE for path in directory.glob(pattern) if path.is_file())
    return {path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def read_record(directory: Path) -> Record:
    """The record of a run, whole or cut short; what is wrong with its own files is in ``problems``.

    Raises:
        InputError: this is no run directory, or its plan cannot be read.
    """
    problems: list[str] = []
    end = _read_end(directory, problems)
    files = end.files if end is not None else {}

    def read(name: str) -> bytes:
        return read_inside(directory, name, files)

    opened: list[FileIO] = []

    def close() -> None:
        for file in opened:
            file.close()

    plan = _read_plan(directory / "plan.json")
    entries: tuple[Entry, ...] = ()
    try:
        read_inside(directory, "plan.json", files)
        entries = _entries(read("journal.jsonl"), problems)
    except UnreadableRecordError as error:
        problems.append(str(error))
    return Record(
        plan=plan,
        end=end,
        entries=entries,
        read=read,
        read_payload=read_payload,
        big=partial(open_big, directory, opened),
        close=close,
        problems=tuple(problems),
    )


def write_verdict(directory: Path, verdict: Verdict, text: str) -> None:
    """Put the verdict beside the record it was made from."""
    (directory / "verdict.json").write_text(verdict.model_dump_json(indent=1) + "\n")
    (directory / _VERDICT_TEXT).write_text(text)


def stored_text(verdict: Verdict) -> str:
    """The text that was put beside the record, which tells of the plan too; empty when there is no record."""
    try:
        return Path(verdict.run_dir, _VERDICT_TEXT).read_text(encoding="utf-8") if verdict.run_dir else ""
    except OSError:
        return ""


def _read_unsealed(directory: Path, name: str) -> bytes:
    return read_inside(directory, name, {})


def _read_plan(path: Path) -> Plan:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(
            f"{path.parent}: not a run directory (no plan.json)", hint="Give a directory below runs/."
        ) from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    try:
        seen = _FORMAT_ONLY.validate_json(data).get("format")
        if seen != _FORMAT:
            raise InputError(
                f"{path}: a record of format {seen!r}; this harness reads format {_FORMAT}",
                hint="Judge it with the version of harness that wrote it.",
            )
        return Plan.model_validate_json(data)
    except ValidationError as error:
        raise InputError(
            f"{path}: not a plan of this version of harness ({error.error_count()} errors)",
            hint="The record was written by another version, or it was edited.",
        ) from error


def _read_end(directory: Path, problems: list[str]) -> RunEnd | None:
    try:
        return RunEnd.model_validate_json((directory / "end.json").read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        problems.append(f"end.json: {error.strerror}")
    except ValidationError:
        problems.append("end.json: does not say how a run ended")
    return None


def _entries(journal: bytes, problems: list[str]) -> tuple[Entry, ...]:
    """All entries; a last line that was cut short (a killed harness) is left out."""
    entries: list[Entry] = []
    lines = journal.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line and number == len(lines):
            break
        try:
            entries.append(_ENTRY.validate_json(line))
        except ValidationError:
            if number == len(lines):
                break
            problems.append(f"journal.jsonl:{number}: not a journal entry")
    return tuple(entries)
