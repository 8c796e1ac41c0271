"""``harness memmap``: a memory map out of a console log into a scenario, and maps to look at."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.cli.exits import Exit
from harness.errors import InputError
from harness.evidence.listings import mapimport, mapread
from harness.evidence.listings.entries import LogMap, MapKind, MapLog, contradictions
from harness.evidence.ranges import Range
from harness.load.logfile import STDIN, read_log
from harness.model.base import parse_size
from harness.model.words.memorymap import overlap_mistake
from harness.record.observations import Observations
from harness.record.store import read_record
from harness.report import memmap, memmapsvg, memmaptext

_MAX_LOG_BYTES = 64 * 2**20
_DEFAULT_MEMORY = "1GiB"
_NAMES = {MapKind.EFI: "EFI memory map", MapKind.E820: "e820 table", MapKind.IOMEM: "listing of /proc/iomem"}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands of this module."""
    parser = commands.add_parser("memmap")
    actions = parser.add_subparsers(dest="memmap_action", required=True, metavar="ACTION")

    take = actions.add_parser(
        "import",
        help="a map file for a scenario, from a memory map in a log",
        description="Writes a map file (YAML) for firmware.memory.map of a scenario, scaled to the guest's memory, "
        "with an account of what no such guest can have. docs/memory-maps.md",
    )
    take.add_argument("log", metavar="LOG", help="a console log or a mail; - reads standard input")
    take.add_argument("--memory", default=_DEFAULT_MEMORY, help=f"the guest's memory, default {_DEFAULT_MEMORY}")
    _add_form(take, "which kind of map; default: an EFI map where there is one, else e820, else iomem")
    take.add_argument("--number", type=int, default=1, metavar="N", help="which map of that kind, default the first")
    take.add_argument("-o", "--output", type=Path, metavar="FILE", help="write it there, not to standard output")
    take.set_defaults(action=import_map)

    show = actions.add_parser(
        "show",
        help="draw the maps of a run or of a log",
        description="The firmware's memory map and those of every kernel of a run, or every map in a log: EFI memory "
        "maps, e820 tables, /proc/iomem. docs/memory-maps.md",
    )
    show.add_argument("what", metavar="RUNDIR|LOG", help="- reads a log from standard input; it may be compressed")
    _add_form(show, "only the maps of this kind")
    lines = show.add_mutually_exclusive_group()
    lines.add_argument("--entries", action="store_true", help="a line an entry, with attributes; the default for a log")
    lines.add_argument("--joined", action="store_true", help="neighbours that say the same as one; default for a run")
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


def _add_form(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--form", type=MapKind, choices=list(MapKind), metavar="{efi,e820,iomem}", help=text)


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
    log = _read(options.log)
    chosen = _chosen(options, log)
    where = f"{_title(options.log)}, line {chosen.line}, {chosen.size} entries"
    if chosen.kind is not MapKind.EFI:
        where += f" of {chosen.title}"
    found = mapimport.scale(chosen.top, memory, where, chosen.odd)
    wrong = overlap_mistake(found.entries)
    if not found.entries:
        wrong = f"none of its {chosen.size} entries can be had in a guest of {options.memory}"
    if wrong:
        raise InputError(f"{options.log}: this map cannot be asked for: {wrong}")
    _write(options.output, mapimport.to_yaml(found))
    for remark in (*log.damage(chosen.kind), *chosen.remarks):
        print(f"harness: {options.log}: {remark}", file=sys.stderr)
    if options.output is not None:
        joins = mapimport.joined_count(found)
        made = f", {joins} made of several" if joins else ""
        print(f"{_printable(str(options.output))}: {len(found.entries)} entries, {len(found.lost)} lost{made}")
    return Exit.OK


def show_map(options: argparse.Namespace) -> Exit:
    """Print the maps, and draw them.

    Raises:
        InputError: neither a run nor a log with a map.
    """
    is_run = options.what != STDIN and Path(options.what).is_dir()
    columns, title, damaged = _run(options) if is_run else _log(options)
    if options.svg is not None:
        _write(options.svg, memmapsvg.to_svg(columns, title))
    if options.json:
        print(json.dumps({"title": title, "maps": memmaptext.to_rows(columns), "damaged": damaged}, indent=1))
        return Exit.OK
    print(
        f"{title}\n\n{memmaptext.to_text(columns, single=not options.joined if not is_run else options.entries)}",
        end="",
    )
    for row in damaged:
        print(f"not shown: line {row['line']}: {row['text']}")
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


_Shown = tuple[Sequence[memmap.Column], str, list[dict[str, object]]]
"""Columns, the title above them, and a row for JSON for each map that cannot be shown."""


def _run(options: argparse.Namespace) -> _Shown:
    record = read_record(Path(options.what))
    columns = memmap.of_record(Observations(record), options.form)
    if not columns:
        raise InputError(
            f"{options.what}: this run has no memory map",
            hint="it ended before the EFI agent had reported; see harness show",
        )
    return columns, f"{record.plan.variant}, run {record.plan.run_id}", []


def _log(options: argparse.Namespace) -> _Shown:
    log = _read(options.what)
    maps = log.of_kind(options.form) if options.form is not None else log.maps
    damaged = [(kind, remark) for kind, remark in log.damaged if options.form in (None, kind)]
    if not maps:
        raise _no_map(options.what, log, options.form)
    if options.svg is not None:
        for item in maps:
            _refuse_contradiction(options.what, item)
    title = _title(options.what)
    rows: list[dict[str, object]] = [
        {"kind": kind.value, "line": remark.line, "text": remark.text} for kind, remark in damaged
    ]
    return memmap.of_log(maps, title), title, rows


def _chosen(options: argparse.Namespace, log: MapLog) -> LogMap:
    """The map to import: of the kind that was asked for, or of the best there is."""
    kind = options.form or next((item for item in MapKind if log.of_kind(item) or log.damage(item)), None)
    maps = log.of_kind(kind) if kind is not None else ()
    if not maps:
        raise _no_map(options.log, log, kind)
    if not 1 <= options.number <= len(maps):
        raise InputError(
            f"--number {options.number}: {options.log} has {len(maps)} of this kind ({maps[0].kind}): "
            + ", ".join(f"{number} at line {item.line}" for number, item in enumerate(maps, 1))
        )
    chosen: LogMap = maps[options.number - 1]
    _refuse_contradiction(options.log, chosen)
    return chosen


def _no_map(name: str, log: MapLog, kind: MapKind | None) -> InputError:
    damaged = [(of, remark) for of, remark in log.damaged if kind in (None, of)]
    others = [item.value for item in MapKind if item is not kind and log.of_kind(item)]
    instead = f"; or take another with --form {' or '.join(others)}" if others else ""
    if damaged:
        of, remark = damaged[0]
        return InputError(f"{name}: the {_NAMES[of]} in it is damaged: {remark}", hint=f"get the whole log{instead}")
    return InputError(
        f"{name}: there is no {_NAMES[kind] if kind is not None else 'memory map'} in it",
        hint="a kernel prints EFI maps ('efi: mem00: [...] range=[0x...]') when booted with efi=debug; e820 tables "
        f"('BIOS-e820: [mem 0x...-0x...] usable') and /proc/iomem are read as well{instead}",
    )


def _refuse_contradiction(name: str, item: LogMap) -> None:
    for first, second, both in contradictions(item.entries):
        raise InputError(
            f"{name}: the {_NAMES[item.kind]} in it contradicts itself: mem{first.number:02} (line {first.line}) and "
            f"mem{second.number:02} (line {second.line}) both have {both}"
        )


def _read(name: str) -> MapLog:
    return mapread.read(read_log(name, _MAX_LOG_BYTES))


def _title(name: str) -> str:
    return "standard input" if name == STDIN else _printable(Path(name).name)


def _printable(name: str) -> str:
    """A file's name may be no text; standard output refuses it then."""
    return name.encode("utf-8", "backslashreplace").decode()


def _write(path: Path | None, text: str) -> None:
    if path is None:
        print(text, end="")
        return
    try:
        path.write_text(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {(error.strerror or str(error)).lower()}") from error
