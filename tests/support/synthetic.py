"""Kernels, firmware and scenarios that exist nowhere, for the planner and the gate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.model.kernel import Capability, Decision, HypervisorImage, KernelImage
from harness.model.plan import Accel, FirmwareFiles, Plan
from harness.model.scenario import Scenario
from harness.plan.planner import InitrdFile, Prepared, make_plan

NONCE = "0badcafe"
CAPABILITIES = (
    Capability.EFI,
    Capability.ESRT,
    Capability.BGRT,
    Capability.KEXEC_LOAD,
    Capability.KEXEC_FILE_LOAD,
    Capability.FIRMWARE_MEMMAP,
)


def kernel(name: str = "tiny-6.1", directory: str = "/srv/kernels", lacks: Sequence[Capability] = ()) -> KernelImage:
    release = f"{name.partition('-')[2]}.0-tiny"
    return KernelImage(
        name=name,
        release=release,
        banner=f"{release} (someone@somewhere) #1 SMP Thu Jan 1 00:00:00 UTC 1970",
        image=Path(directory, name, "bzImage"),
        sha256="0" * 64,
        size_bytes=2_000_000,
        init_size_bytes=0x1000000,
        pref_address=0x1000000,
        alignment_bytes=0x200000,
        capabilities={
            item: Decision(possible=item not in lacks, reason=f"CONFIG_{item.name} in the config of {name}")
            for item in dict.fromkeys((*CAPABILITIES, *lacks))
        },
    )


def hypervisor(directory: str = "/srv/cache") -> HypervisorImage:
    return HypervisorImage(
        name="xen-4.17", version="4.17", image=Path(directory, "xen.efi"), sha256="0" * 64, size_bytes=2_800_000
    )


def scenario(**values: Any) -> Scenario:
    """A scenario with one kexec, as the loader would give it; ``values`` replace keys."""
    data = {
        "id": "esrt/made-up",
        "why": "A scenario for tests.",
        "kernel": "tiny-6.1",
        "firmware": {"tables": [{"esrt": {"memory": "boot-services-data", "below": 0x3A000000, "entries": 3}}]},
        "steps": [{"boot": {}}, {"kexec": {"syscall": "file", "initrd": {"pad": 4096}}}],
        "expect": [{"table_intact": "esrt"}, {"kexec_would_overlap": "esrt"}, {"no_crash": True}],
    }
    return Scenario.model_validate_json(json.dumps({**data, **values}))


def prepared(kernels: Sequence[KernelImage], directory: str = "/srv/cache") -> Prepared:
    return Prepared(
        kernels=kernels,
        initrds=[
            InitrdFile(
                Path(directory, f"initrd-{'padded' if n else 'plain'}-{item.name}"), 5_000_000 + (4096 if n else 0)
            )
            for n, item in enumerate(kernels)
        ],
        firmware=FirmwareFiles(
            name="ovmf-x64",
            code=Path(directory, "OVMF_CODE.fd"),
            vars_template=Path(directory, "OVMF_VARS.fd"),
            descriptor="/usr/share/qemu/firmware/60-edk2-x86_64.json",
            version="ovmf 1",
        ),
        agent=Path(directory, "agent.efi"),
        qemu=Path("/usr/bin/qemu-system-x86_64"),
        qemu_version="7.2.22",
        accel=Accel.TCG,
        accel_reason="asked for",
        factor=1.5,
        tools={"busybox": "1.35.0", "kexec-tools": "2.0.25"},
    )


def plan(of: Scenario, having: Prepared) -> Plan:
    return make_plan(
        run_id="19700101T000000-esrt-made-up-0badcafe",
        nonce=NONCE,
        variant=f"{of.id}[{of.kernel},ovmf-x64]",
        scenario=of,
        scenario_file="scenarios/esrt/made-up.yaml",
        prepared=having,
    )
