"""How long ``harness memmap`` takes for maps of many entries: seconds of one processor, a line a size.

Real maps have up to some 600 entries; the largest one here shows that time grows with the entries and not with their
square. The log is made up: entries of every type, with stamps, as Linux 6.x prints them.

    .venv/bin/python benchmarks/memmap.py [--rounds N] [ENTRIES...]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence

from harness.evidence.listings import mapread
from harness.evidence.listings.mapimport import scale
from harness.report import memmap, memmapsvg, memmaptext

SIZES = (500, 5000)
AIM_RATIO = 20.0
"""For 10 times the entries; a square would take 100 times as long."""
_GUEST_BYTES = 2**31
_WORDS = (
    "Conventional",
    "Boot Data   ",
    "Boot Code   ",
    "Runtime Data",
    "Loader Code ",
    "Reserved    ",
    "ACPI Mem NVS",
)


def log_of(entries: int) -> bytes:
    """A console log with one map."""
    lines = []
    for number in range(entries):
        start = 0x100000 + number * 0x3000
        word = _WORDS[number * 7919 % len(_WORDS)]
        where = f"range=[0x{start:016x}-0x{start + 0x2FFF:016x}] (0MB)"
        lines.append(f"[    0.000000] efi: mem{number:02}: [{word}|   |  |  |  |  |   |WB|WT|WC|UC] {where}\n")
    return "".join(lines).encode()


def seconds(entries: int, rounds: int) -> dict[str, float]:
    """The median of each step, in seconds of this process's CPU time."""
    log = log_of(entries)
    (found,) = mapread.read(log).maps
    if len(found.entries) != entries:
        raise ValueError(f"{len(found.entries)} entries were read of {entries}")
    columns = memmap.of_log([found, found], "log")
    steps: dict[str, Callable[[], object]] = {
        "read": lambda: mapread.read(log),
        "show": lambda: memmaptext.to_text(columns, single=True),
        "draw": lambda: memmapsvg.to_svg(columns, "log"),
        "import": lambda: scale(found.top, _GUEST_BYTES),
    }
    figures = {}
    for name, step in steps.items():
        times = []
        for _ in range(rounds):
            begin = time.process_time()
            step()
            times.append(time.process_time() - begin)
        figures[name] = statistics.median(times)
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when time grows too fast."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("entries", nargs="*", type=int, metavar="ENTRIES", help=f"default {SIZES}")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    sums = []
    print(f"seconds of one CPU, median of {options.rounds} rounds:")
    for entries in options.entries or SIZES:
        figures = seconds(entries, options.rounds)
        sums.append((entries, sum(figures.values())))
        parts = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        print(f"  {entries:6} entries: {parts}; all {sums[-1][1]:.3f}")
    (few, short), (many, long) = sums[0], sums[-1]
    if few == many:
        return 0
    ratio, aim = long / short, AIM_RATIO * many / few / 10
    print(f"  {many / few:g} times the entries take {ratio:.1f} times as long, aim {aim:g}: ", end="")
    print("met" if ratio <= aim else "MISSED")
    return 0 if ratio <= aim else 1


if __name__ == "__main__":
    sys.exit(main())
