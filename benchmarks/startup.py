"""CPU seconds (user and system, children included) that commands and pytest's collection take to start.

Each command is run --rounds times, all in turn, so that a busy moment falls on all of them. The minimum is near what
a command takes on an idle machine, the median what it took here. All find their bytecode in its cache, which a first
round, not counted, fills.

    .venv/bin/python benchmarks/startup.py [--rounds N] [--variants N]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_HARNESS = ("-c", "import sys; from harness.cli import main; sys.exit(main())")
_COLLECT = ("-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q")
_VARIANTS_A_FILE = 100
_PAIRS_A_ROUND = 5
_LOG = (
    "[    0.100000] Linux version 6.1.0\n"
    + "".join(f"[    0.2{number:05}] usb 1-1: new device number {number}\n" for number in range(2000))
    + "[    1.000000] BUG: kernel NULL pointer dereference, address: 0000000000000000\n"
)


class BenchError(Exception):
    """A command did not do what is measured here."""


@dataclass(frozen=True)
class Subject:
    """One command to be measured."""

    name: str
    argv: tuple[str, ...]
    """What follows ``python``."""
    folder: Path
    aim_s: float | None = None
    said: str = ""
    """What its output must have, so that no error is measured."""


def scenario(number: int) -> str:
    """A scenario file of 100 variants, as YAML."""
    tree = {
        "id": f"made/number-{number:04}",
        "why": "Made to be collected.",
        "matrix": {
            "kernel": [f"kernel-{n}" for n in range(10)],
            "syscall": ["file", "load"],
            "pad": ["20MiB", "40MiB", "60MiB", "80MiB", "100MiB"],
        },
        "machine": {"memory": "1GiB", "cpus": 1},
        "firmware": {"tables": [{"esrt": {"memory": "boot-services-data", "below": 0x3A000000, "entries": 3}}]},
        "steps": ["boot", {"kexec": {"syscall": "${syscall}", "initrd": {"pad": "${pad}"}}}],
        "expect": [{"kexec_would_overlap": "esrt"}, {"table_intact": "esrt"}, "no_crash"],
    }
    lines = "\n".join(f"{key}: {json.dumps(value)}" for key, value in tree.items())
    return lines + "\n"


def write_scenarios(folder: Path, variants: int) -> None:
    """Files below ``folder/scenarios`` that make so many variants, in whole hundreds."""
    (folder / "scenarios/made").mkdir(parents=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    for number in range(variants // _VARIANTS_A_FILE):
        (folder / f"scenarios/made/number-{number:04}.yaml").write_text(scenario(number))


def write_foreign(folder: Path) -> None:
    """A project that knows nothing of scenarios: one test, and a YAML file of its own."""
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "data.yaml").write_text("a: 1\n")
    (folder / "test_it.py").write_text("def test_it():\n    assert 1 + 1 == 2\n")


def subjects(folder: Path, variants: int) -> tuple[Subject, ...]:
    """What is measured, in files below ``folder``."""
    log = folder / "console.log"
    log.write_text(_LOG)
    made = folder / "made"
    write_scenarios(made, variants)
    own = len((*(ROOT / "scenarios").rglob("*.yaml"),))
    return (
        Subject("python", ("-c", "pass"), ROOT),
        Subject("harness --help", (*_HARNESS, "--help"), ROOT, 0.2, "classify"),
        Subject("harness --version", (*_HARNESS, "--version"), ROOT, 0.2, "harness "),
        Subject("harness classify LOG", (*_HARNESS, "classify", str(log)), ROOT, 0.4, "NULL pointer"),
        Subject(f"harness list ({own} files)", (*_HARNESS, "list"), ROOT, 0.5, "esrt/kexec-load["),
        Subject(f"pytest --collect-only ({own} files)", (*_COLLECT, "scenarios"), ROOT, None, "tests collected"),
        Subject(f"pytest --collect-only ({variants})", (*_COLLECT, "scenarios"), made, 5.0, f"{variants} tests coll"),
    )


def foreign(folder: Path) -> tuple[Subject, Subject]:
    """pytest in a project without scenarios: without our plugin, and with it."""
    write_foreign(folder)
    alone = ("-m", "pytest", "-p", "no:cacheprovider", "-q")
    return (
        Subject("foreign pytest, plugin off", (*alone, "-p", "no:harness.pytest_plugin"), folder, None, "1 passed"),
        Subject("foreign pytest, plugin on", alone, folder, None, "1 passed"),
    )


def cpu_s(subject: Subject, environment: Mapping[str, str]) -> float:
    """CPU seconds of one run.

    Raises:
        BenchError: it failed, or said something else.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *subject.argv],
        cwd=subject.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode or subject.said not in done.stdout:
        raise BenchError(f"{subject.name}: ended with {done.returncode}: {(done.stderr or done.stdout)[-400:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(wanted: Sequence[Subject], rounds: int, environment: Mapping[str, str]) -> dict[str, list[float]]:
    """CPU seconds a round of each subject, in turn."""
    for subject in wanted:
        cpu_s(subject, environment)
    figures: dict[str, list[float]] = {subject.name: [] for subject in wanted}
    for _ in range(rounds):
        for subject in wanted:
            figures[subject.name].append(cpu_s(subject, environment))
    return figures


def report(wanted: Sequence[Subject], figures: Mapping[str, Sequence[float]]) -> str:
    """A table: minimum and median in CPU seconds, how many times python's own start, and the aim."""
    base = min(figures[wanted[0].name])
    lines = [f"{'CPU seconds':<36} {'min':>7} {'median':>7} {'/python':>8}  aim"]
    for subject in wanted:
        seen = figures[subject.name]
        aim = "" if subject.aim_s is None else f"{subject.aim_s:g}: {'met' if min(seen) <= subject.aim_s else 'MISSED'}"
        row = f"{subject.name:<36} {min(seen):7.3f} {statistics.median(seen):7.3f} {min(seen) / base:8.1f}  {aim}"
        lines.append(row.rstrip())
    return "\n".join(lines)


def price_ms(without: Sequence[float], plugin: Sequence[float]) -> tuple[float, float]:
    """What the plugin adds, in milliseconds: between the minima, and the median of the rounds' differences."""
    pairs = [after - before for before, after in zip(without, plugin, strict=True)]
    return (min(plugin) - min(without)) * 1e3, statistics.median(pairs) * 1e3


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 2 when a command fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--variants", type=int, default=10_000, help="in whole hundreds (10000)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": f"{name}/bytecode"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        wanted, pair = subjects(Path(name), options.variants), foreign(Path(name, "foreign"))
        try:
            figures = measure(wanted, options.rounds, environment)
            # Two milliseconds in half a second: only many pairs tell.
            figures |= measure(pair, options.rounds * _PAIRS_A_ROUND, environment)
        except BenchError as error:
            print(error, file=sys.stderr)
            return 2
    print(report((*wanted, *pair), figures))
    minimum, median = price_ms(*(figures[subject.name] for subject in pair))
    print(f"the plugin in a foreign project: {minimum:.0f} ms between the minima, {median:.0f} ms median of the pairs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
