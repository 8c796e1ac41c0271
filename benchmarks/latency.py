"""How soon a verdict follows the event that decides a run: a reset, a panic, QEMU's end.

The event's time is that of the journal (the moment it came in), the verdict's is taken when the judge has given it; the
autopsy, QEMU's end and the sealing of the record lie between. Percentiles over all rounds are printed, for each event
and for all; the aim is a median under 0.2 s.

The damage classes of ``harness selftest`` make the events on real machines: ``.venv/bin/python benchmarks/latency.py
--rounds 5 --kernel tiny-6.1``. Run it on an idle machine: a run keeps one core busy.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness import clock
from harness.model.record import EventEntry, FrameEntry, PhaseEntry
from harness.record.record import Record
from harness.record.store import read_record
from harness.selftest.bench import Bench
from harness.selftest.cases import CASES, Case
from harness.session.assembly import Choices, make_workshop, this_host
from harness.session.places import Places

AIM_S = 0.2
EVENTS = ("reset", "triple-fault", "silent-panic", "panic", "back-in-firmware", "link", "qemu-killed")


class BenchError(Exception):
    """A run did not end by its event: there is no figure to print."""


def decisive_s(record: Record) -> float:
    """When the event that ended a run came in, on the run's clock.

    Raises:
        BenchError: the record shows none.
    """
    for entry in record.entries:
        if isinstance(entry, EventEntry) and entry.name in ("SHUTDOWN", "GUEST_PANICKED"):
            return entry.t_s
        if isinstance(entry, FrameEntry) and entry.kind == "ready" and entry.epoch > 0:
            return entry.t_s
    raise BenchError("no decisive event in the record")


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 90th percentile and maximum, in seconds."""
    ranked = sorted(seconds)
    return {
        "median": round(statistics.median(ranked), 3),
        "p90": round(ranked[min(len(ranked) - 1, int(0.9 * len(ranked)))], 3),
        "max": round(ranked[-1], 3),
    }


def measure(bench: Bench, case: Case) -> float:
    """Seconds from the event to the verdict, of one run."""
    (outcome,) = bench.run([case], lambda _outcome: None)
    if not outcome.good:
        raise BenchError(f"{case.name}: {outcome.problem}")
    record = read_record(Path(outcome.run_dir))
    return outcome.judged_s - moment_s(record)


def moment_s(record: Record) -> float:
    """As ``decisive_s``; for ends that no event shows, the damage's own moment: the begin of the last phase."""
    try:
        found = decisive_s(record)
    except BenchError:
        found = [entry for entry in record.entries if isinstance(entry, PhaseEntry)][-1].t_s
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--kernel", default="tiny-6.1", metavar="NAME|FILE")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    cases = [case for case in CASES if case.name in EVENTS]
    taken: dict[str, list[float]] = {case.name: [] for case in cases}
    began_s = clock.now_s()
    with tempfile.TemporaryDirectory(prefix="harness-latency-") as runs:
        workshop = make_workshop(Places.find(), Choices(), lambda _text: None, this_host())
        bench = Bench(workshop, options.kernel, Path(runs))
        for _ in range(options.rounds):
            for case in cases:
                taken[case.name].append(measure(bench, case))
    every = [seconds for found in taken.values() for seconds in found]
    result = {"all": percentiles(every), **{name: percentiles(found) for name, found in taken.items()}}
    if options.json:
        json.dump({"rounds": options.rounds, "aim_s": AIM_S, "seconds": result}, sys.stdout, indent=1)
        print()
    else:
        for name, figures in result.items():
            print(f"{name:<18} " + "  ".join(f"{key} {value:6.3f} s" for key, value in figures.items()))
        print(f"{len(every)} runs in {clock.now_s() - began_s:.0f} s; the aim is a median under {AIM_S} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
