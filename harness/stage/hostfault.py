"""Is it the host's fault that a budget ran out? Asked before a time-out is called a hang of the guest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness import clock
from harness.errors import QemuError
from harness.machine.machine import Machine

_ANSWER_S = 5.0
"""QEMU answers query-status in milliseconds, also while the guest spins; only a starved host needs longer."""
_TOLERANCE_S = 5.0
_TOLERANCE = 0.1
"""By how much the clocks may disagree: what NTP's slewing can do (500 ppm) is far less, a step is far more."""
_STATES = {"T": "stopped by a signal", "t": "stopped by a debugger", "D": "waits for a disk", "Z": "dead"}
"""proc(5), /proc/PID/stat."""


@dataclass(frozen=True)
class Clocks:
    """Both clocks of the host at one moment."""

    monotonic_s: float
    wall_s: float

    @classmethod
    def now(cls) -> Clocks:
        return cls(clock.now_s(), clock.utc().timestamp())

    def disagreement(self, later: Clocks) -> str:
        """How much the two disagree about the time between; empty when they agree."""
        monotonic_s, wall_s = later.monotonic_s - self.monotonic_s, later.wall_s - self.wall_s
        if abs(monotonic_s - wall_s) <= max(_TOLERANCE_S, _TOLERANCE * wall_s):
            return ""
        return (
            f"the host's clocks disagree about how long the run took: {monotonic_s:.0f} s on the monotonic clock, "
            f"{wall_s:.0f} s on the wall clock"
        )


def silent_qemu(machine: Machine) -> str:
    """Why QEMU does not answer; empty when it does."""
    try:
        machine.qmp.status(timeout_s=_ANSWER_S)
    except QemuError as error:
        state = _process_state(machine.process.pid)
        how = f" (its process is {_STATES[state]})" if state in _STATES else ""
        return f"QEMU lives and does not answer{how}: {error.message}"
    return ""


def stopped_tpm(machine: Machine) -> str:
    """Why swtpm cannot answer; empty when it can, or when there is none."""
    state = _process_state(machine.tpm.process.pid) if machine.tpm is not None else ""
    return f"swtpm lives and cannot answer (its process is {_STATES[state]})" if state in _STATES else ""


def _process_state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(") ")[2][:1]
    except OSError:
        return ""
