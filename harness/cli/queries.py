"""``harness judge`` and ``show``: questions to a record, which start no machine."""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from pathlib import Path

from harness.cli import setting
from harness.cli.exits import Exit, exit_for
from harness.cli.out import reports
from harness.judge.judge import judge as judge_record
from harness.model.record import CommandEntry, EventEntry, FrameEntry, NoteEntry, PhaseEntry, SampleEntry
from harness.record.record import Record, UnreadableRecordError
from harness.record.store import read_record, write_verdict
from harness.report import autopsy, text


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands of this module."""
    parser = commands.add_parser("judge")
    parser.add_argument("run", type=Path, metavar="RUNDIR")
    setting.add_directories(parser)
    parser.add_argument("--no-known-issues", action="store_true", help="as if known-issues.yaml were empty")
    reports.add_flags(parser)
    parser.set_defaults(action=judge)

    parser = commands.add_parser("show")
    parser.add_argument("run", type=Path, metavar="RUNDIR")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(action=show)


def judge(options: argparse.Namespace) -> Exit:
    """The verdict on a record, made now."""
    record = read_record(options.run)
    plan = record.plan
    known = () if options.no_known_issues else setting.places(options).known_issues()
    verdict = judge_record(record, known).model_copy(update={"run_dir": str(options.run.resolve())})
    with suppress(OSError):  # a record on a read-only disk, somebody else's artifact, can be judged too
        write_verdict(options.run, verdict, text.render(verdict, plan))
    print(reports.chosen(options).one(verdict, plan), end="")
    return exit_for([verdict])


def show(options: argparse.Namespace) -> Exit:
    """The journal of a run as a table of time, epoch and what happened."""
    record = read_record(options.run)
    if options.json:
        end = record.end.model_dump(mode="json") if record.end else None
        rows = [entry.model_dump(mode="json") for entry in record.entries]
        print(json.dumps({"variant": record.plan.variant, "end": end, "entries": rows}, indent=1))
        return Exit.OK
    print(f"{record.plan.variant}\nQEMU: {' '.join(record.plan.argv)}\n")
    for entry in record.entries:
        match entry:
            case PhaseEntry():
                what = f"== epoch {entry.epoch}: {entry.phase} {entry.detail}"
            case FrameEntry():
                what = f"-> {entry.kind} {_fields(entry.fields)} {entry.body_file or ''}"
            case SampleEntry():
                last = entry.pages_address + entry.pages_size_bytes - 1
                what = f"   sample {entry.subject} {entry.pages_address:#x}-{last:#x} {entry.sha256[:16]} {entry.file}"
            case EventEntry():
                what = f"   QMP {entry.name} {entry.data}"
            case NoteEntry():
                what = f"   note: {entry.line}"
            case CommandEntry():
                what = f"<- {entry.name} {_fields(entry.fields)}"
            case _:
                what = f"   {entry.type} {getattr(entry, 'subject', '')} {getattr(entry, 'file', '')}"
        print(f"{entry.t_s:8.2f} s  {what}".rstrip())
    print(f"\nend: {record.end.kind}: {record.end.detail}" if record.end else "\nthe record has no end")
    print(_autopsy(record), end="")
    return Exit.OK


def _autopsy(record: Record) -> str:
    """What the machine was doing at a bad end; empty when nobody looked."""
    try:
        return f"\nautopsy: {autopsy.render(record.autopsy)}" if record.autopsy is not None else ""
    except UnreadableRecordError as error:
        return f"\nautopsy: {error}\n"


def _fields(fields: dict[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in fields.items())
