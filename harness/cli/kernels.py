"""``harness kernels list|fetch|build``."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from harness.cache import default_cache
from harness.cli import setting
from harness.cli.exits import Exit
from harness.errors import InputError, Interrupted
from harness.kernel.build import built
from harness.kernel.kinds.kind import Listed
from harness.kernel.kinds.table import BY_NAME
from harness.kernel.registry import Registry, bring, listing
from harness.load.scenarios import find_files, load_files
from harness.load.selection import runs_by_default


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``harness kernels`` and its verbs."""
    parser = commands.add_parser("kernels")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|fetch|build")
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
    verb = verbs.add_parser("build", help="build kernels of kind source or twin; a stopped build goes on")
    verb.add_argument("names", nargs="+", metavar="NAME")
    verb.add_argument("--refresh", action="store_true", help="look for a newer package of the source")
    verb.add_argument("--json", action="store_true", help="what was built, as JSON")
    setting.add_directories(verb)
    verb.set_defaults(action=build)


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
    if not (options.names or options.all or options.needed):
        raise InputError("nothing to fetch was named", hint="name kernels of `harness kernels list`, --needed or --all")
    names = list(options.names)
    if options.all:
        names += (*registry.names, *registry.hypervisors)
    if options.needed:
        names += _needed(options, registry)
    for name in dict.fromkeys(names):
        brought = bring(name, registry, cache, refresh=options.refresh, progress=_say)
        print(f"{name}: {brought}", flush=True)
    return Exit.OK


def build(options: argparse.Namespace) -> Exit:
    """Build what was asked for and is not there yet."""
    registry, cache = setting.places(options).registry(), default_cache()
    recipes = [(name, registry.recipe(name)) for name in dict.fromkeys(options.names)]
    for name, recipe in recipes:
        if recipe is None:
            raise InputError(f"{name} is not built here", hint=f"harness kernels fetch {name}")
    done = []
    with _stops(), _status() as (say, interval_s):
        for _, recipe in recipes:
            if recipe is not None:
                made = built.make(recipe, cache, refresh=options.refresh, progress=say, interval_s=interval_s)
                done.append(made)
                if not options.json:
                    say("")
                    print(f"{made.image.name}: {made.image.release}  {made.image.image}", flush=True)
    if options.json:
        print(json.dumps([_as_json(made) for made in done], indent=1))
    return Exit.OK


def _as_json(made: built.Built) -> dict[str, object]:
    about = made.about.model_dump(mode="json")
    return {**made.image.model_dump(mode="json"), "about": about, "directory": str(made.directory)}


@contextmanager
def _stops() -> Iterator[None]:
    """SIGTERM ends make and its children too, as Ctrl-C does."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in before:  # once is enough: what was begun is being cleaned up
            signal.signal(number, signal.SIG_IGN)
        raise Interrupted("stopped on request; the next build goes on from here")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _status() -> Iterator[tuple[Callable[[str], None], float]]:
    """Says where a build is: on a terminal twice a second in one line, else a line every ten seconds."""
    if not sys.stderr.isatty():
        yield _say, 10.0
        return
    try:
        yield _say_in_place, 0.5
    finally:
        _say_in_place("")


def _say_in_place(message: str) -> None:
    width = shutil.get_terminal_size().columns - 1
    print(f"\r\x1b[K{message[:width]}", end="", file=sys.stderr, flush=True)


def _needed(options: argparse.Namespace, registry: Registry) -> list[str]:
    """The registry's kernels that a default run boots or kexecs into; those that are built are built by the run."""
    found = set()
    for variant in load_files(find_files(setting.places(options).scenarios)):
        if runs_by_default(variant):
            found |= {variant.scenario.kernel, *(kexec.kernel or "" for kexec in variant.scenario.following)}
    return [name for name in registry.names if name in found and not registry.is_built(name)]


def _line(row: Listed) -> str:
    if not row.fetched:
        return f"{row.name:24} {BY_NAME[row.kind].absent:13} {row.description}"
    lacks = [str(name) for name, decision in (row.capabilities or {}).items() if not decision.possible]
    size = f"{(row.image_bytes or 0) / 2**20:.1f} MiB"
    return (
        f"{row.name:24} {row.release or '':34} {row.suite or row.kind:18} {size:>9}  {(row.image_sha256 or '')[:12]}"
        f"{'  lacks ' + ', '.join(lacks) if lacks else ''}"
    )


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
