"""Options that several commands share, and what they mean."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.load.overrides import Overrides, parse_set
from harness.load.scenarios import Variant
from harness.load.selection import load_selection
from harness.session.places import Places


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Which variants: patterns and what replaces the matrix."""
    parser.add_argument(
        "patterns",
        nargs="*",
        metavar="PATH|ID",
        help="scenario ids (esrt/kexec-file, esrt/*), variants (ID[KERNEL,...]) or files; default: all",
    )
    parser.add_argument(
        "--kernel",
        action="append",
        default=[],
        metavar="NAME|FILE",
        help="replace the matrix's kernels: a name of the registry, a bzImage or a .deb; may be given again",
    )
    parser.add_argument("--firmware", action="append", default=[], metavar="NAME", help="replace the firmware axis")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="sets",
        metavar="PATH=VALUE",
        help="change a value of the scenario, such as machine.memory=2GiB or an axis",
    )


def add_directories(parser: argparse.ArgumentParser) -> None:
    """Where to look; hardly ever needed."""
    parser.add_argument("--scenarios", type=Path, default=None, metavar="DIR", help="default: scenarios/")
    parser.add_argument("--kernels", type=Path, default=None, metavar="DIR", help="default: kernels/")


def places(options: argparse.Namespace) -> Places:
    """Where scenarios and kernels are."""
    return Places.find(options.scenarios, options.kernels)


def variants(options: argparse.Namespace) -> tuple[Variant, ...]:
    """The variants the options mean.

    Raises:
        InputError: bad files, patterns or overrides.
    """
    return load_selection(places(options).scenarios, options.patterns, overrides(options))


def overrides(options: argparse.Namespace) -> Overrides:
    """What replaces the matrix and single values.

    Raises:
        InputError: a ``--set`` that is none.
    """
    return Overrides(
        kernels=tuple(options.kernel),
        firmware=tuple(options.firmware),
        sets=tuple(parse_set(text) for text in options.sets),
    )
