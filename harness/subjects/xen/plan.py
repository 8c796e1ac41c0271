"""The hypervisor's part of a plan: its EFI system partition, its command line, a processor it can run dom0 on. Pure."""

from __future__ import annotations

from harness.errors import HostError
from harness.model.kernel import HypervisorImage
from harness.model.plan import Accel, EpochPlan, Plan
from harness.model.scenario import Scenario
from harness.model.words.runtime import KexecRefusedStep
from harness.model.words.xen import HypervisorPlan

CONFIG_FILE = "xen.cfg"
KERNEL_FILE = "vmlinuz"
DIRECTORY = "esp"
"""In the run directory: what the file system shows, links to the big files."""
DOM0_CONSOLE = ("console=hvc0", "earlyprintk=xen")
"""Xen keeps COM1 for itself. Without the second word a dom0 that dies before it has a console dies without a word."""
# loglvl=all: with the EFI memory map, by which the tables are judged. noreboot: a dead machine stays to be looked at.
_XEN_CMDLINE = ("com1=115200,8n1", "console=com1", "loglvl=all", "guest_loglvl=all", "noreboot")
_TCG_CPU = "max,smap=off"
"""TCG of QEMU 7.2 lets IRET in user mode pop the stack with kernel rights, which SMAP forbids. A PV kernel runs in user
mode and executes IRET itself (sync_core() in arch/x86/include/asm/sync_core.h), so dom0 dies of a page fault there:
`d0v0 Unhandled: vec 14, #PF[0001]`."""


def hypervisor_plan(scenario: Scenario, image: HypervisorImage | None, dom0: EpochPlan) -> HypervisorPlan | None:
    """The hypervisor of a scenario, or None when it has none.

    Raises:
        HostError: it was not prepared.
    """
    wanted = scenario.hypervisor
    if wanted is None:
        return None
    if image is None:
        raise HostError(f"the hypervisor {wanted.name} was not prepared")
    options = " ".join([*_XEN_CMDLINE, *wanted.cmdline])
    config = f"[global]\ndefault=dom0\n[dom0]\noptions={options}\nkernel={KERNEL_FILE} {dom0.cmdline}\nramdisk=initrd\n"
    return HypervisorPlan(
        image=image,
        mapbs=wanted.mapbs,
        load_options=f"xen.efi -cfg={CONFIG_FILE}{' -mapbs' if wanted.mapbs else ''}",
        config=config,
    )


OWN_SERIALS = {"kernel_serial": "kernel0", "initrd_serial": "initrd0"}
"""The disks from which dom0 tries to load itself once more."""


def tries_own_kernel(scenario: Scenario) -> bool:
    """Does dom0 try to load a kernel, and has none but its own to try it with?"""
    tried = any(isinstance(step, KexecRefusedStep) for step in scenario.steps)
    return scenario.hypervisor is not None and tried and not scenario.kexecs


def cpu(plan: Plan) -> str:
    """QEMU's processor model."""
    if plan.accel is Accel.KVM:
        return "host"
    return "max" if plan.hypervisor is None else _TCG_CPU


def drive(plan: Plan) -> list[str]:
    """QEMU's arguments for the EFI system partition: a directory shown as a FAT file system."""
    if plan.hypervisor is None:
        return []
    return [
        *("-blockdev", f"driver=vvfat,node-name=esp,dir={{run}}/{DIRECTORY},label=ESP,read-only=on"),
        *("-device", "virtio-blk-pci,drive=esp,serial=esp"),
    ]


def links(plan: Plan) -> dict[str, str]:
    """Name in the file system to the file that it is."""
    if plan.hypervisor is None:
        return {}
    first = plan.epochs[0]
    return {
        "xen.efi": str(plan.hypervisor.image.image),
        KERNEL_FILE: str(first.kernel.image),
        "initrd": str(first.initrd),
    }
