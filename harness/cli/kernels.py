"""``harness kernels list|fetch``."""

from __future__ import annotations

import argparse
import json
import sys

from harness.cache import default_cache
from harness.cli import setting
from harness.cli.exits import Exit
from harness.kernel.listing import Listed, listing
from harness.kernel.registry import resolve
from harness.load.scenarios import find_files, load_files
from harness.load.selection import runs_by_default


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``harness kernels`` and its verbs."""
    parser = commands.add_parser("kernels", help="list or fetch kernels")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|fetch")
    verb = verbs.add_parser("list", help="what there is, and what is in the cache")
    verb.add_argument("--json", action="store_true", help="as JSON")
    setting.add_directories(verb)
    verb.set_defaults(action=list_kernels)
    verb = verbs.add_parser("fetch", help="fetch kernels into the cache")
    verb.add_argument("names", nargs="*", metavar="NAME")
    verb.add_argument("--needed", action="store_true", help="those that the scenarios name, the surveys left out")
    verb.add_argument("--all", action="store_true", help="every entry of the registry")
    verb.add_argument("--refresh", action="store_true", help="look for newer packages")
    setting.add_directories(verb)
    verb.set_defaults(action=fetch)


def list_kernels(options: argparse.Namespace) -> Exit:
    """One line a kernel."""
    rows = listing(setting.places(options).registry(), default_cache())
    if options.json:
        print(json.dumps([row.model_dump(mode="json") for row in rows], indent=1))
    else:
        for row in rows:
            print(_line(row))
    return Exit.OK


def fetch(options: argparse.Namespace) -> Exit:
    """Fetch what was asked for and is not there yet."""
    registry, cache = setting.places(options).registry(), default_cache()
    names = list(options.names)
    if options.all:
        names += registry.names
    if options.needed:
        names += _needed(options, registry.names)
    for name in dict.fromkeys(names):
        kernel = resolve(name, registry, cache, refresh=options.refresh, progress=_say)
        print(f"{name}: {kernel.release}", flush=True)
    return Exit.OK


def _needed(options: argparse.Namespace, names: tuple[str, ...]) -> list[str]:
    """The registry's kernels that a default run boots or kexecs into."""
    found = set()
    for variant in load_files(find_files(setting.places(options).scenarios)):
        if runs_by_default(variant):
            found |= {variant.scenario.kernel, *(kexec.kernel or "" for kexec in variant.scenario.kexecs)}
    return [name for name in names if name in found]


def _line(row: Listed) -> str:
    if not row.fetched:
        return f"{row.name:20} not fetched   {row.description}"
    lacks = [str(name) for name, decision in (row.capabilities or {}).items() if not decision.possible]
    size = f"{(row.image_bytes or 0) / 2**20:.1f} MiB"
    return (
        f"{row.name:20} {row.release or '':34} {row.suite or '':18} {size:>9}  {(row.image_sha256 or '')[:12]}"
        f"{'  lacks ' + ', '.join(lacks) if lacks else ''}"
    )


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
