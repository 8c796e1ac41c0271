"""Puts a workshop together on this host, for the command line and for pytest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.cache import default_cache
from harness.errors import InputError
from harness.host import speed
from harness.host.accel import AUTO, AccelChoice, choose_accel
from harness.host.probe import Host, probe, require_qemu
from harness.model.plan import Accel, FirmwareFiles
from harness.session.places import Places
from harness.session.prepare import Workshop

_MIN_FACTOR, _MAX_FACTOR = 0.1, 100.0
_RUN_BYTES = 2 * 2**30
"""Host memory to count on for one run: a guest of 1 GiB, its payload in QEMU, and the translation cache of TCG."""


@dataclass(frozen=True)
class Choices:
    """How machines are started."""

    accel: str = AUTO
    offline: bool = False
    time_factor: float = 1.0
    jobs: int = 1

    def __post_init__(self) -> None:
        """Raises: InputError: a value that cannot be meant."""
        if self.accel not in (AUTO, *Accel):
            raise InputError(f"--accel {self.accel}: there is no such accelerator", hint=f"{AUTO}, {', '.join(Accel)}")
        if not _MIN_FACTOR <= self.time_factor <= _MAX_FACTOR:
            raise InputError(
                f"--time-factor {self.time_factor:g}: out of range", hint=f"from {_MIN_FACTOR:g} to {_MAX_FACTOR:g}"
            )


def this_host() -> Host:
    """What is here, looked at now."""
    return probe(default_cache().root)


def default_jobs(host: Host, runs: int) -> int:
    """Runs at the same time when the user does not say: one a core, as memory allows, and no more than there are."""
    room = host.memory_available_bytes // _RUN_BYTES
    return max(1, min(host.cores, room, runs))


def make_workshop(places: Places, choices: Choices, progress: Callable[[str], None], host: Host) -> Workshop:
    """A workshop on this host.

    Raises:
        HostError: QEMU is missing.
    """
    cache = default_cache()
    qemu = require_qemu(host)

    def accel(firmware: FirmwareFiles) -> AccelChoice:
        return choose_accel(choices.accel, host=host, firmware=firmware, cache=cache)

    def factor(firmware: FirmwareFiles, _choice: AccelChoice) -> float:
        machine = speed.calibrate(host, firmware, cache)
        return speed.speed_now(machine, host, jobs=choices.jobs).factor * choices.time_factor

    return Workshop(
        cache=cache,
        registry=places.registry(),
        qemu=qemu,
        qemu_version=host.qemu_version,
        choose_accel=accel,
        measure_factor=factor,
        offline=choices.offline,
        progress=progress,
    )
