"""Find or make everything a run needs before anything is started: kernels, firmware, agent, initrds, accelerator."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.cache import Cache
from harness.firmware.build import AgentBinary, build_agent
from harness.firmware.descriptors import find_firmware
from harness.guest.initramfs import build_initrd
from harness.guest.tools import GuestTools, find_tools
from harness.host.accel import AccelChoice
from harness.kernel.registry import Registry, resolve
from harness.model.kernel import KernelImage
from harness.model.plan import FirmwareFiles
from harness.model.scenario import Scenario
from harness.run.planner import InitrdFile, Prepared


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
    _kernels: dict[str, KernelImage] = field(default_factory=dict)
    _firmware: dict[str, FirmwareFiles] = field(default_factory=dict)
    _accel: dict[str, tuple[AccelChoice, float]] = field(default_factory=dict)
    _agent: AgentBinary | None = None
    _tools: GuestTools | None = None

    def kernel(self, ref: str) -> KernelImage:
        """A kernel by registry name or path; fetched when need be.

        Raises:
            InputError: there is no such kernel, or the file is none.
            HostError: it cannot be fetched.
        """
        with self._lock:
            if ref not in self._kernels:
                self._kernels[ref] = resolve(
                    ref, self.registry, self.cache, offline=self.offline, progress=self.progress
                )
            return self._kernels[ref]

    def kernels(self, scenario: Scenario) -> tuple[KernelImage, ...]:
        """The kernels of the epochs, in order."""
        refs = [scenario.kernel]
        refs += [kexec.kernel or scenario.kernel for kexec in scenario.kexecs]
        return tuple(self.kernel(ref) for ref in refs)

    def firmware(self, name: str) -> FirmwareFiles:
        """A firmware by name.

        Raises:
            HostError: none is installed.
        """
        with self._lock:
            if name not in self._firmware:
                self._firmware[name] = find_firmware(name)
            return self._firmware[name]

    def prepare(self, scenario: Scenario, kernels: Sequence[KernelImage]) -> Prepared:
        """Everything the planner asks for."""
        with self._lock:
            firmware = self.firmware(scenario.firmware_name)
            if firmware.name not in self._accel:
                choice = self.choose_accel(firmware)
                self._accel[firmware.name] = (choice, self.measure_factor(firmware, choice))
            choice, factor = self._accel[firmware.name]
            self._agent = self._agent or build_agent(self.cache.root / "agent")
            self._tools = self._tools or find_tools()
            pads = [0, *(kexec.initrd.pad for kexec in scenario.kexecs)]
            initrds = [
                build_initrd(kernel, self._tools, pad, self.cache.root / "initrd")
                for kernel, pad in zip(kernels, pads, strict=True)
            ]
            return Prepared(
                kernels=kernels,
                initrds=[InitrdFile(initrd.path, initrd.size_bytes) for initrd in initrds],
                firmware=firmware,
                agent=self._agent.path,
                qemu=self.qemu,
                qemu_version=self.qemu_version,
                accel=choice.accel,
                accel_reason=choice.reason,
                factor=factor,
                tools={**self._tools.versions, "agent": self._agent.sha256[:16]},
            )
