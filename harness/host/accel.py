"""Which accelerator QEMU uses here, and why: ``auto`` trusts a start, not a device node.

Seen on nested hosts: /dev/kvm is there and opens, KVM_CREATE_VM and KVM_CREATE_VCPU succeed, and yet ``-cpu host``
dies on an assertion (``failed to set MSR 0x10a``) and every other model stops in the firmware's first instructions
with ``KVM internal error. Suberror: 1``. So the firmware is started once under KVM; the answer is kept for a day.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.cache import Cache
from harness.errors import HostError, InputError
from harness.host.answers import AnswerCache
from harness.host.probe import Host, require_qemu
from harness.host.start import Start, start_firmware
from harness.model.plan import Accel, FirmwareFiles

AUTO = "auto"
KVM_DEVICE = Path("/dev/kvm")
START_TIMEOUT_S = 4.0
"""Seconds for the first sign of life under KVM. TCG needs 2.4 s for the same on the reference host (2 cores)."""


@dataclass(frozen=True)
class AccelChoice:
    """The accelerator, and the sentence that says why, for doctor, plan and verdict."""

    accel: Accel
    reason: str


@dataclass(frozen=True)
class KvmAnswer:
    """Does KVM start firmware on this host?"""

    works: bool
    reason: str


Starter = Callable[[], Start]


def choose_accel(
    requested: str,
    *,
    host: Host,
    firmware: FirmwareFiles,
    cache: Cache,
    cpu: str = "host",
    device: Path = KVM_DEVICE,
    start: Starter | None = None,
) -> AccelChoice:
    """The accelerator for ``requested``: ``auto``, ``kvm`` or ``tcg``.

    ``cpu`` is the CPU model that runs will have under KVM. ``cache`` keeps the answer. ``start``
    replaces the start of the firmware in tests.

    Raises:
        InputError: ``requested`` is none of the three.
        HostError: KVM was asked for and does not work here, or QEMU is missing.
    """
    if requested not in (AUTO, *Accel):
        raise InputError(f"unknown accelerator {requested!r}", hint=f"choose one of {AUTO}, {', '.join(Accel)}")
    if requested == Accel.TCG:
        return AccelChoice(Accel.TCG, "asked for")
    start = start or _starter(host, firmware, cpu)
    answer = kvm_answer(host, cpu, AnswerCache(cache, "accel"), device=device, start=start)
    if answer.works:
        return AccelChoice(Accel.KVM, answer.reason)
    if requested == Accel.KVM:
        raise HostError(f"KVM does not work here: {answer.reason}", hint="leave --accel out, or use --accel tcg")
    return AccelChoice(Accel.TCG, f"KVM does not work here: {answer.reason}")


def kvm_answer(host: Host, cpu: str, cache: AnswerCache, *, device: Path, start: Starter) -> KvmAnswer:
    """Does KVM work? The device node is looked at each time, the start is taken from the cache when it was made."""
    refused = _device_refusal(device)
    if refused:
        return KvmAnswer(False, refused)
    key = " | ".join((host.qemu_version, host.kernel_release, host.cpu_model, cpu))
    known = cache.get(key)
    if known is not None and isinstance(known.get("works"), bool) and isinstance(known.get("reason"), str):
        return KvmAnswer(known["works"], known["reason"])
    seen = start()
    answer = KvmAnswer(seen.alive, f"{seen.detail} (QEMU {host.qemu_version}, -cpu {cpu})")
    if seen.certain:
        cache.put(key, {"works": answer.works, "reason": answer.reason})
    return answer


def _device_refusal(device: Path) -> str:
    if not device.exists():
        return f"there is no {device}"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"no permission for {device} (adduser {os.environ.get('USER', 'USER')} kvm, then log in again)"
    return ""


def _starter(host: Host, firmware: FirmwareFiles, cpu: str) -> Starter:
    return partial(
        start_firmware,
        require_qemu(host),
        Accel.KVM,
        cpu,
        firmware,
        timeout_s=START_TIMEOUT_S,
        setpriv=host.tools.get("setpriv"),
    )
