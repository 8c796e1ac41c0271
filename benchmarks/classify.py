"""How fast ``harness classify`` goes through a clean console: megabytes a second of one processor's time.

A clean log is the slow case, for nothing ends the search. The text is a console of made-up kernel messages, or the logs
given; one that has a crash is refused, since the rest of it would not be looked at.

    .venv/bin/python benchmarks/classify.py [--megabytes N] [LOG...]
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness.evidence import crash

AIM_MB_PER_S = 100
_COMMON = (
    "usb", "pci", "device", "registered", "driver", "eth0", "ACPI", "memory", "reserved", "range", "mem", "0x3bfff000",
    "clocksource", "systemd[1]:", "Started", "Reached", "target", "scsi", "block", "audit:", "avc:", "cpu", "new",
)  # fmt: skip
_MARKERS = ("detected", "kexec_core:", "list_lru", "panic=-1", "WARNING:")


def console(size_bytes: int) -> bytes:
    """Kernel messages that mean nothing, the same each time; some hold words of the markers, as real ones do."""
    choice = random.Random(7)  # noqa: S311 - text, no secret
    lines: list[str] = []
    length = 0
    while length < size_bytes:
        stamp = f"[{len(lines) * 0.013:12.6f}] "
        words = choice.choices(_COMMON, k=choice.randint(4, 12))
        if choice.random() < 0.03:
            words.insert(1, choice.choice(_MARKERS))
        lines.append(stamp + " ".join(words) + "\r\n")
        length += len(lines[-1])
    return "".join(lines).encode()


def speed_mb_per_s(data: bytes, rounds: int) -> list[float]:
    """One figure a round, 10^6 bytes a second of this process's CPU time."""
    found = []
    for _ in range(rounds):
        begin = time.process_time()
        crash.first(data)
        found.append(len(data) / 1e6 / (time.process_time() - begin))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 2 when a log given is not clean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="*", type=Path, metavar="LOG")
    parser.add_argument("--megabytes", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    text = b"".join(path.read_bytes() for path in options.logs) or console(1 << 20)
    if (report := crash.first(text)) is not None:
        print(f"not clean: {report.title} at byte {report.start}", file=sys.stderr)
        return 2
    data = text * max(1, options.megabytes * 1_000_000 // len(text))
    figures = speed_mb_per_s(data, options.rounds)
    print(f"{len(data) / 1e6:.0f} MB of clean console, {len(figures)} rounds, MB/s of one CPU:")
    print(f"  median {statistics.median(figures):.0f}, worst {min(figures):.0f}, best {max(figures):.0f}")
    print(f"  aim {AIM_MB_PER_S}: {'met' if statistics.median(figures) >= AIM_MB_PER_S else 'MISSED'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
