"""``harness memmap``: a memory map out of a console log into a scenario, and maps to look at."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from harness.cli.exits import Exit
from harness.errors import InputError
from harness.evidence.defect import Defect
from harness.evidence.maps import efilog, mapimport
from harness.evidence.maps.efilog import LogEntry
from harness.evidence.ranges import Range
from harness.model.base import parse_size
from harness.model.words.memorymap import MAX_RANGES, overlap_mistake
from harness.record.observations import Observations
from harness.record.store import read_record
from harness.report import memmap, memmapsvg

_STDIN = "-"
_MAX_LOG_BYTES = 64 * 2**20
_DEFAULT_MEMORY = "1GiB"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands of this module."""
    parser = commands.add_parser("memmap")
    actions = parser.add_subparsers(dest="memmap_action", required=True, metavar="ACTION")

    take = actions.add_parser(
        "import",
        help="a map file for a scenario, from the 'efi: mem00: ...' lines of a log",
        description="Writes a map file (YAML) for firmware.memory.map of a scenario, scaled to the guest's memory, "
        "with an account of what no such guest can have. docs/memory-maps.md",
    )
    take.add_argument("log", metavar="LOG", help="a console log or a mail; - reads standard input")
    take.add_argument("--memory", default=_DEFAULT_MEMORY, help=f"the guest's memory, default {_DEFAULT_MEMORY}")
    take.add_argument("--number", type=int, default=1, metavar="N", help="which map of the log, default the first")
    take.add_argument("-o", "--output", type=Path, metavar="FILE", help="write it there, not to standard output")
    take.set_defaults(action=import_map)

    show = actions.add_parser(
        "show",
        help="draw the maps of a run or of a log",
        description="The firmware's memory map and those of every kernel of a run, or the EFI memory maps of a log.",
    )
    show.add_argument("what", type=Path, metavar="RUNDIR|LOG")
    show.add_argument("--svg", type=Path, metavar="FILE", help="also as a drawing")
    show.add_argument("--json", action="store_true", help="as JSON")
    show.set_defaults(action=show_map)

    places = actions.add_parser(
        "places",
        help="where KASLR has put the kernel in several boots",
        description="One line a boot, and how many places there are. Exit 1 when several boots all have the same one.",
    )
    places.add_argument("runs", nargs="+", type=Path, metavar="RUNDIR")
    places.add_argument("--json", action="store_true", help="as JSON")
    places.set_defaults(action=show_places)


def import_map(options: argparse.Namespace) -> Exit:
    """Write the map file.

    Raises:
        InputError: no such log, no map in it, or a map that cannot be asked for.
    """
    try:
        memory = parse_size(options.memory)
    except ValueError as error:
        raise InputError(f"--memory {options.memory}: {error}") from error
    if not 2**28 <= memory <= 2**36 or memory % 2**20:
        raise InputError(f"--memory {options.memory}: must be from 256MiB to 64GiB, in whole MiB")
    maps = _maps(options.log)
    if not 1 <= options.number <= len(maps):
        raise InputError(f"--number {options.number}: {options.log} has {len(maps)} map{'s' * (len(maps) > 1)}")
    entries = maps[options.number - 1]
    name = "standard input" if options.log == _STDIN else Path(options.log).name
    found = mapimport.scale(entries, memory, f"{name}, line {entries[0].line}, {len(entries)} entries")
    wrong = overlap_mistake(found.entries)
    if not found.entries:
        wrong = f"none of its {len(entries)} entries can be had in a guest of {options.memory}"
    elif len(found.entries) > MAX_RANGES:
        wrong = f"it has {len(found.entries)} entries, the EFI agent takes at most {MAX_RANGES}"
    if wrong:
        raise InputError(f"{options.log}: this map cannot be asked for: {wrong}")
    _write(options.output, mapimport.to_yaml(found))
    if options.output is not None:
        print(f"{options.output}: {len(found.entries)} entries, {len(found.lost)} lost")
    return Exit.OK


def show_map(options: argparse.Namespace) -> Exit:
    """Print the maps, and draw them.

    Raises:
        InputError: neither a run nor a log with a map.
    """
    columns, title = _columns(options.what)
    if options.svg is not None:
        _write(options.svg, memmapsvg.to_svg(columns, title))
    if options.json:
        print(json.dumps({"title": title, "maps": memmap.to_rows(columns)}, indent=1))
    else:
        print(f"{title}\n\n{memmap.to_text(columns)}", end="")
    return Exit.OK


def show_places(options: argparse.Namespace) -> Exit:
    """List where each run's first kernel lies.

    Raises:
        InputError: no such run, or one whose first kernel did not report.
    """
    rows: list[tuple[str, Range]] = []
    for run in options.runs:
        observations = Observations(read_record(run))
        extent = observations.kernel_extent(1)
        if extent is None:
            raise InputError(f"{run}: its first kernel has not reported where it lies", hint="leave this run out")
        rows.append((observations.plan.variant, extent))
    starts = sorted({extent.start for _, extent in rows})
    if options.json:
        boots = [{"variant": variant, "start": extent.start, "end": extent.end} for variant, extent in rows]
        print(json.dumps({"boots": boots, "places": starts}, indent=1))
    else:
        for variant, extent in rows:
            print(f"{extent}  {variant}")
        print(f"{len(rows)} boots, {len(starts)} places, from {starts[0]:#x} to {starts[-1]:#x}")
    return Exit.FAIL if len(rows) > 1 and len(starts) == 1 else Exit.OK


def _columns(what: Path) -> tuple[Sequence[memmap.Column], str]:
    if not what.is_dir():
        return memmap.of_log(_maps(str(what)), what.name), what.name
    record = read_record(what)
    columns = memmap.of_record(Observations(record))
    if not columns:
        raise InputError(
            f"{what}: this run has no memory map", hint="it ended before the EFI agent had reported; see harness show"
        )
    return columns, f"{record.plan.variant}, run {record.plan.run_id}"


def _maps(name: str) -> tuple[tuple[LogEntry, ...], ...]:
    """The maps of a log; at least one, and of each at least one entry."""
    found = efilog.efi_maps(_read(name))
    if isinstance(found, Defect):
        raise InputError(f"{name}: the EFI memory map in it is damaged: {found}", hint="get the whole log")
    if not found:
        raise InputError(
            f"{name}: there is no EFI memory map in it",
            hint="a kernel prints it, in lines 'efi: mem00: [...] range=[0x...-0x...]', when booted with efi=debug",
        )
    for entries in found:
        _refuse_overlap(name, entries)
    return found


def _refuse_overlap(name: str, entries: Sequence[LogEntry]) -> None:
    ordered = sorted(entries, key=lambda item: item.region.range)
    for first, second in pairwise(ordered):
        both: Range | None = first.region.range.intersection(second.region.range)
        if both is not None:
            raise InputError(
                f"{name}: the EFI memory map in it contradicts itself: mem{first.number:02} (line {first.line}) and "
                f"mem{second.number:02} (line {second.line}) both have {both}"
            )


def _read(name: str) -> bytes:
    try:
        if name == _STDIN:
            return sys.stdin.buffer.read(_MAX_LOG_BYTES)
        with Path(name).open("rb") as stream:
            data = stream.read(_MAX_LOG_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InputError(f"{name}: {reason}") from error
    if len(data) > _MAX_LOG_BYTES:
        raise InputError(f"{name}: bigger than {_MAX_LOG_BYTES // 2**20} MiB; this is no console log")
    return data


def _write(path: Path | None, text: str) -> None:
    if path is None:
        print(text, end="")
        return
    try:
        path.write_text(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {(error.strerror or str(error)).lower()}") from error
