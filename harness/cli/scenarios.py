"""``harness list``, ``check``, ``schema``: what scenario files hold, and what they may hold."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from harness.cli import setting
from harness.cli.exits import Exit
from harness.errors import ScenarioErrors
from harness.load.named import registry_names, unknown
from harness.load.scenarios import Files, find_files
from harness.load.schema import schema_text


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands of this module."""
    parser = commands.add_parser("list")
    setting.add_selection(parser)
    setting.add_directories(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(action=list_variants)

    parser = commands.add_parser("check")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="files or folders; default: scenarios/")
    setting.add_directories(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(action=check)

    parser = commands.add_parser("schema")
    parser.set_defaults(action=schema)


def list_variants(options: argparse.Namespace) -> Exit:
    """One line a variant."""
    found = setting.variants(options)
    if options.json:
        rows = [
            {
                "id": item.id,
                "scenario": item.scenario.id,
                "file": item.file,
                "line": item.line,
                "why": item.scenario.why,
            }
            for item in found
        ]
        print(json.dumps(rows, indent=1))
    else:
        for item in found:
            print(item.id)
    return Exit.OK


def check(options: argparse.Namespace) -> Exit:
    """Load files and say how many variants they make, or every mistake in them."""
    roots = options.files or [setting.places(options).scenarios]
    files = [file for root in roots for file in find_files(root)]
    try:
        read = Files.read(files)
        found = read.variants()
        names = registry_names(setting.places(options).kernels)
        unnamed = tuple(unknown(read.documents, found, names)) if names is not None else ()
        if unnamed:
            raise ScenarioErrors(unnamed)
    except ScenarioErrors as error:
        if not options.json:
            raise
        mistakes = [dataclasses.asdict(mistake) for mistake in error.mistakes]
        print(json.dumps({"files": len(files), "variants": [], "mistakes": mistakes}, indent=1))
        return Exit.USAGE
    if options.json:
        print(json.dumps({"files": len(files), "variants": [item.id for item in found], "mistakes": []}, indent=1))
    else:
        print(f"{len(files)} files, {len(found)} variants, no mistakes")
    return Exit.OK


def schema(_options: argparse.Namespace) -> Exit:
    """The JSON Schema."""
    print(schema_text(), end="")
    return Exit.OK
