"""Find or make everything a run needs before anything is started: kernels, firmware, agent, initrds, accelerator."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from harness.autopsy.atlas import Naming
from harness.autopsy.symbols import Drivers, Symbols
from harness.cache import Cache
from harness.errors import HostError
from harness.firmware.build import AgentBinary, build_agent
from harness.firmware.descriptors import find_firmware
from harness.guest.initramfs import build_initrd
from harness.guest.tools import GuestTools, find_program, find_tools, first_line
from harness.host.accel import AccelChoice
from harness.kernel.registry import Registry, resolve, resolve_hypervisor
from harness.model.kernel import HypervisorImage, KernelImage
from harness.model.plan import FirmwareFiles
from harness.model.scenario import Scenario
from harness.model.words.kdump import CrashKernelOptions
from harness.plan.planner import InitrdFile, Prepared
from harness.subjects.runtime.plan import RuntimeDriver


@dataclass(frozen=True)
class Bench:
    """What all runs with one firmware share."""

    firmware: FirmwareFiles
    accel: AccelChoice
    factor: float
    agent: AgentBinary
    tools: GuestTools


@dataclass
class Workshop:
    """Makes what runs need, each thing once, however many runs ask for it at the same time."""

    cache: Cache
    registry: Registry
    qemu: Path
    qemu_version: str
    choose_accel: Callable[[FirmwareFiles], AccelChoice]
    measure_factor: Callable[[FirmwareFiles, AccelChoice], float]
    offline: bool = False
    progress: Callable[[str], None] = lambda _text: None
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _kernels: dict[str, KernelImage | HostError] = field(default_factory=dict)
    _benches: dict[str, Bench] = field(default_factory=dict)

    @cached_property
    def naming(self) -> Naming:
        """Names for code in a guest's memory."""
        return Naming(Symbols(self.cache), Drivers())

    def kernel(self, ref: str) -> KernelImage:
        """A kernel by registry name or path; fetched when need be, and tried once only.

        Raises:
            InputError: there is no such kernel, or the file is none.
            HostError: it cannot be fetched.
        """
        with self._lock:
            if ref not in self._kernels:
                try:
                    self._kernels[ref] = resolve(
                        ref, self.registry, self.cache, offline=self.offline, progress=self.progress
                    )
                except HostError as error:
                    self._kernels[ref] = error
            found = self._kernels[ref]
            if isinstance(found, HostError):
                raise found
            return found

    def kernels(self, scenario: Scenario) -> tuple[KernelImage, ...]:
        """The kernels of the epochs, in order."""
        return tuple(self.kernel(ref) for ref in scenario.kernels)

    def bench(self, firmware_name: str) -> Bench:
        """What all runs with this firmware share, made or measured once.

        Raises:
            InputError: there is no such firmware.
            HostError: something that no run can do without is missing here.
        """
        with self._lock:
            if firmware_name not in self._benches:
                firmware = find_firmware(firmware_name)
                choice = self.choose_accel(firmware)
                factor = self.measure_factor(firmware, choice)
                agent, tools = build_agent(self.cache.root / "agent", arch=firmware.arch), find_tools()
                self._benches[firmware_name] = Bench(firmware, choice, factor, agent, tools)
            return self._benches[firmware_name]

    def hypervisor(self, scenario: Scenario) -> HypervisorImage | None:
        """The hypervisor of a scenario, fetched when need be; None when it has none.

        Raises:
            InputError: there is no such hypervisor.
            HostError: it cannot be fetched.
        """
        if scenario.hypervisor is None:
            return None
        name = scenario.hypervisor.name
        with self._lock:
            return resolve_hypervisor(name, self.registry, self.cache, offline=self.offline, progress=self.progress)

    def prepare(self, scenario: Scenario, kernels: Sequence[KernelImage]) -> Prepared:
        """Everything the planner asks for.

        Raises:
            InputError, HostError: as ``bench``, or an initrd cannot be built.
        """
        with self._lock:
            bench = self.bench(scenario.firmware_name)
            swtpm = find_program("swtpm", "swtpm") if scenario.machine.tpm else None
            tpm = scenario.machine.tpm
            pads = [0, *(following.pad for following in scenario.following)]
            captures = [False, *(isinstance(item, CrashKernelOptions) for item in scenario.following)]
            dom0 = [scenario.hypervisor is not None, *(False for _ in scenario.following)]
            initrds = [
                build_initrd(
                    kernel, bench.tools, pad, self.cache.root / "initrd", capture=capture, tpm=tpm, dom0=on_xen
                )
                for kernel, pad, capture, on_xen in zip(kernels, pads, captures, dom0, strict=True)
            ]
            return Prepared(
                kernels=kernels,
                initrds=[InitrdFile(initrd.path, initrd.size_bytes) for initrd in initrds],
                firmware=bench.firmware,
                agent=bench.agent.path,
                driver=RuntimeDriver(
                    bench.agent.driver.path, bench.agent.driver.sha256, dict(bench.agent.driver.symbols)
                ),
                qemu=self.qemu,
                qemu_version=self.qemu_version,
                hypervisor=self.hypervisor(scenario),
                swtpm=swtpm,
                accel=bench.accel.accel,
                accel_reason=bench.accel.reason,
                factor=bench.factor,
                tools={
                    **bench.tools.versions,
                    **({"swtpm": first_line([swtpm, "--version"])} if swtpm else {}),
                    "agent": bench.agent.sha256[:16],
                },
            )
