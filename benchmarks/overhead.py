"""What the harness costs: ``harness run`` against bare QEMU with the same arguments, to the same marker, in turns.

The marker is the frame ``up`` of the first kernel: firmware, EFI agent, kernel, initramfs and every report of the guest
agent lie before it. The harness's time is that of its own journal, from the start of the run to the frame: variable
store, start of QEMU, QMP, console, link, journal and memory samples included. The bare side starts the argv of that
run's plan.json with the same input files; COM1 goes to a file, and COM2 to a loop that sends the two bytes the agent
waits for and looks for the marker. It samples nothing, watches nothing and keeps nothing else.

The whole command (Python's start, reading scenarios, building the initrd or finding it in the cache, judging) is shown
beside it as a number of seconds, for it does not grow with the length of a run.

Run it on an idle machine: ``make bench`` or ``.venv/bin/python benchmarks/overhead.py --pairs 5``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.firmware.varstore import make_varstore
from harness.machine.frame import Decoder, Frame
from harness.model.plan import Plan
from harness.plan.planner import input_files
from harness.record.store import read_record

MARKER = "up"
AIM = 1.05
NUDGE_S = 0.1
"""The agent's byte is sent again this often (docs/link-protocol.md); the harness does the same."""
NUDGES = {"ready": b"G", "handoff": b"S"}
ANSWERS = {"go", "start"}
SCENARIO = """\
id: bench/boot
why: The benchmark's run, to the first report of the guest and no further.
matrix: {{kernel: [{kernel}], firmware: [ovmf-x64]}}
machine: {{memory: 1GiB, cpus: 1}}
firmware: {{tables: [{{esrt: {{memory: boot-services-data, below: 0x3c000000, entries: 3}}}}]}}
steps: [boot]
expect: [table_intact: esrt, no_crash]
"""


class BenchError(Exception):
    """A measurement did not come to the marker: there is no figure to print."""


@dataclass(frozen=True)
class HarnessTime:
    """Seconds of one ``harness run``: from the start of the run to the marker, and of the whole command."""

    to_marker_s: float
    command_s: float
    record: Path


@dataclass(frozen=True)
class Spread:
    """The shape of a few measurements, in seconds."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        return cls(min(seconds), statistics.median(seconds), max(seconds))

    def __str__(self) -> str:
        return f"min {self.least:6.2f}  median {self.median:6.2f}  max {self.most:6.2f}"


def report(harness: Sequence[HarnessTime], bare_s: Sequence[float]) -> str:
    """The figures as text; the ratio is that of the medians, with the range over the pairs beside it."""
    ours = Spread.of([run.to_marker_s for run in harness])
    theirs = Spread.of(bare_s)
    pairs = Spread.of([run.to_marker_s / bare for run, bare in zip(harness, bare_s, strict=True)])
    rest = Spread.of([run.command_s - run.to_marker_s for run in harness])
    ratio = ours.median / theirs.median
    return "\n".join([
        f"to the marker, {len(bare_s)} pairs, seconds",
        f"  harness run   {ours}",
        f"  bare QEMU     {theirs}",
        f"  ratio of medians {ratio:.3f}, of pairs {pairs.least:.3f} to {pairs.most:.3f}"
        f" (aim: {AIM} or less: {'reached' if ratio <= AIM else 'missed'})",
        "beside that, for the whole command (start, scenarios, initrd, judging)",
        f"                {rest}",
    ])  # fmt: skip


def bare_argv(plan: Plan, directory: Path, com2_fd: int) -> list[str]:
    """QEMU's arguments of the plan, with the least that a run needs round them."""
    return [
        *(word.replace("{run}", str(directory)) for word in plan.argv),
        *("-serial", f"file:{directory / 'console.log'}"),
        *("-chardev", f"socket,id=com2,fd={com2_fd}", "-serial", "chardev:com2"),
        *("-chardev", f"file,id=fwlog,path={directory / 'debugcon.log'}"),
        *("-device", "isa-debugcon,iobase=0x402,chardev=fwlog"),
    ]


def bare_time(plan: Plan, timeout_s: float) -> float:
    """Seconds that bare QEMU needs from its start to the marker.

    Raises:
        BenchError: it ended or timed out before.
    """
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        make_varstore(plan.firmware, directory / "vars.fd")
        for file, content in input_files(plan).items():
            (directory / file).write_bytes(content)
        near, far = (stack.enter_context(end) for end in socket.socketpair())
        begin_s = time.monotonic()
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *bare_argv(plan, directory, far.fileno())],
            pass_fds=[far.fileno()],
            stdin=subprocess.DEVNULL,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        far.close()
        for frame in _frames(near, begin_s + timeout_s):
            if frame.kind == MARKER and frame.nonce == plan.nonce:
                return time.monotonic() - begin_s
    raise BenchError(f"bare QEMU did not come to '{MARKER}' within {timeout_s:.0f} s")


def _frames(com2: socket.socket, deadline_s: float) -> Iterator[Frame]:
    """Frames until the deadline or the end of QEMU, the agent's bytes sent meanwhile."""
    decoder = Decoder()
    byte = b""
    while (left_s := deadline_s - time.monotonic()) > 0:
        readable = select.select([com2], [], [], min(left_s, NUDGE_S) if byte else left_s)[0]
        if not readable:
            if byte:
                com2.sendall(byte)
            continue
        data = os.read(com2.fileno(), 65536)
        if not data:
            return
        for frame in decoder.feed(data):
            if frame.kind in ANSWERS:
                byte = b""
            elif frame.kind in NUDGES:
                byte = NUDGES[frame.kind]
                com2.sendall(byte)
            yield frame


def harness_time(scenario: Path, runs: Path, options: Sequence[str]) -> HarnessTime:
    """One ``harness run``; ``runs`` is new and empty.

    Raises:
        BenchError: the run did not come to the marker.
    """
    command = [sys.executable, "-c", "import sys; from harness.cli import main; sys.exit(main())"]
    begin_s = time.monotonic()
    done = subprocess.run(
        [*command, "run", str(scenario), "--runs", str(runs), *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    command_s = time.monotonic() - begin_s
    records = [file.parent for file in runs.rglob("plan.json")]
    frame = read_record(records[0]).frame(MARKER, 1) if len(records) == 1 else None
    if frame is None:
        raise BenchError(f"harness run ended with {done.returncode} and no marker:\n{done.stdout}{done.stderr}")
    return HarnessTime(frame.t_s, command_s, records[0])


def main() -> int:
    """Measure in turns and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3, help="how often both are measured (default 3)")
    parser.add_argument("--kernel", default="debian-6.1-cloud", help="the kernel that is booted")
    parser.add_argument("--timeout", type=float, default=300.0, metavar="S", help="seconds for one bare start")
    parser.add_argument("--accel", default="auto", help="as for harness run")
    options = parser.parse_args()
    if options.pairs < 1:
        parser.error("--pairs must be at least 1")
    harness: list[HarnessTime] = []
    bare_s: list[float] = []
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as name:
        scenario = Path(name, "scenarios/bench/boot.yaml")
        scenario.parent.mkdir(parents=True)
        scenario.write_text(SCENARIO.format(kernel=options.kernel), encoding="utf-8")
        try:
            for number in range(options.pairs + 1):
                run = harness_time(scenario, Path(name, f"runs-{number}"), ["--accel", options.accel])
                plan = read_record(run.record).plan
                bare = bare_time(plan, options.timeout)
                warm = "" if number else "  (not counted: it fills the caches)"
                print(f"{number}: harness {run.to_marker_s:.2f} s, bare {bare:.2f} s{warm}", flush=True)
                if number:
                    harness.append(run)
                    bare_s.append(bare)
        except BenchError as error:
            print(f"overhead: {error}", file=sys.stderr)
            return 3
    print(report(harness, bare_s))
    print(f"{options.kernel}, {plan.accel}, QEMU {plan.qemu_version}, load {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
