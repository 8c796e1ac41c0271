"""How much slower than the reference host this one is: the factor by which the budgets of a run are stretched.

Two things make a run slow, and they are measured apart. *The machine*: the firmware is started once under TCG, up to
the point where its DXE phase sets the clock, and the processor time QEMU used is compared with the reference. Processor
time and not wall time, so that a busy minute does not spoil the figure for the rest of the day. The same work is
measured whatever the accelerator: KVM is only ever faster. *The moment*: load average and number of runs at a time,
against the number of cores, looked at when a run is planned.

The factor is never below 1, so that a fast host keeps the budgets of the reference (they bound a hang, and a hang is as
long on a fast host), and never above 10, beyond which a time-out would no longer tell a hang from anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from harness.cache import Cache
from harness.host.answers import AnswerCache
from harness.host.probe import Host, require_qemu
from harness.host.start import Start, start_firmware
from harness.model.plan import Accel, FirmwareFiles

REFERENCE_CPU_S = 2.4
"""Processor seconds on the reference host (2 cores of an AMD EPYC, QEMU 7.2, OVMF 2022.11; 2.37 to 2.50, 4 starts)."""
CALIBRATION_TIMEOUT_S = 60.0
"""A host that needs longer gets the largest factor."""
MIN_FACTOR, MAX_FACTOR = 1.0, 10.0


@dataclass(frozen=True)
class HostSpeed:
    """The factor for budgets, from 1 to 10, and the sentence that says where it comes from."""

    factor: float
    reason: str


def clamp(factor: float) -> float:
    """``factor`` within [1, 10]."""
    return min(MAX_FACTOR, max(MIN_FACTOR, factor))


def load_factor(load_1min: float, jobs: int, cores: int) -> float:
    """By how much runs are slowed when ``jobs`` of them join a machine with this load average; at least 1.

    A run keeps one core busy, so nothing is lost until all cores are taken.
    """
    return max(1.0, (load_1min + jobs) / max(1, cores))


def host_speed(machine: float, load_1min: float, jobs: int, cores: int) -> HostSpeed:
    """Machine and moment together; ``machine`` is what ``calibrate`` gave."""
    moment = load_factor(load_1min, jobs, cores)
    reason = f"machine {machine:.1f} x the reference, load {load_1min:.1f} and {jobs} at a time on {cores} cores"
    return HostSpeed(round(clamp(clamp(machine) * moment), 2), reason)


def speed_now(machine: float, host: Host, *, jobs: int = 1) -> HostSpeed:
    """``host_speed`` with the load of this moment. The load average counts what runs already, also runs of our own."""
    return host_speed(machine, os.getloadavg()[0], jobs, host.cores)


def calibrate(host: Host, firmware: FirmwareFiles, cache: Cache, *, start: Callable[[], Start] | None = None) -> float:
    """How many times the reference's processor time this machine needs; about 3 s, then kept for a day.

    Not bounded: below 1 on a faster machine. A start that fails gives 10 and is not kept: why it fails is for the run
    itself to say. ``start`` replaces the start of the firmware in tests.

    Raises:
        HostError: QEMU is missing.
    """
    answers = AnswerCache(cache, "speed")
    key = " | ".join((host.qemu_version, host.kernel_release, host.cpu_model, str(firmware.code)))
    known = answers.get(key)
    if known is not None and isinstance(known.get("cpu_s"), float) and known["cpu_s"] > 0:
        return float(known["cpu_s"]) / REFERENCE_CPU_S
    seen = (start or _starter(host, firmware))()
    if not seen.alive or seen.cpu_s <= 0:
        return MAX_FACTOR
    answers.put(key, {"cpu_s": float(seen.cpu_s)})
    return seen.cpu_s / REFERENCE_CPU_S


def _starter(host: Host, firmware: FirmwareFiles) -> Callable[[], Start]:
    return partial(
        start_firmware,
        require_qemu(host),
        Accel.TCG,
        "max",
        firmware,
        timeout_s=CALIBRATION_TIMEOUT_S,
        rtc_only=True,
        setpriv=host.tools.get("setpriv"),
    )
