"""A machine and its firmware, as values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.host.probe import Finding, Host
from harness.model.plan import FirmwareFiles

HostMaker = Callable[..., Host]


@pytest.fixture
def make_host() -> HostMaker:
    ready = Host(
        qemu=Path("/usr/bin/qemu-system-x86_64"),
        qemu_version="7.2.22",
        tools={},
        findings=(
            Finding("qemu-system-x86_64", True, "7.2.22", "every run", "qemu-system-x86"),
            Finding("mcopy", True, "/usr/bin/mcopy", "ESP images", "mtools", required=False),
        ),
        cores=2,
        memory_available_bytes=2**34,
        cache_free_bytes=2**36,
        kernel_release="6.1.0",
        cpu_model="Test CPU",
    )

    def make(**changes: object) -> Host:
        return dataclasses.replace(ready, **changes)  # type: ignore[arg-type]

    return make


@pytest.fixture
def firmware(tmp_path: Path) -> FirmwareFiles:
    return FirmwareFiles(
        name="ovmf-x64", code=tmp_path / "code,1.fd", vars_template=tmp_path / "vars.fd", descriptor="60-edk2.json"
    )
