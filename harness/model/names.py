"""Words that scenarios, plans and records share."""

from __future__ import annotations

from enum import StrEnum


class TpmInterface(StrEnum):
    """How the guest talks to the TPM (TCG PC Client Platform TPM Profile for TPM 2.0)."""

    TIS = "tis"
    """The FIFO interface; QEMU's tpm-tis."""
    CRB = "crb"
    """The command response buffer; QEMU's tpm-crb."""


class MemoryType(StrEnum):
    """EFI_MEMORY_TYPE (UEFI 2.10, 7.2.1), by the names the spec uses."""

    RESERVED = "reserved"
    LOADER_DATA = "loader-data"
    BOOT_SERVICES_DATA = "boot-services-data"
    RUNTIME_SERVICES_DATA = "runtime-services-data"
    ACPI_RECLAIM = "acpi-reclaim"
    ACPI_NVS = "acpi-nvs"

    @property
    def number(self) -> int:
        """The value in EFI_MEMORY_DESCRIPTOR.Type."""
        return _MEMORY_TYPE_NUMBERS[self]


_MEMORY_TYPE_NUMBERS = {
    MemoryType.RESERVED: 0,
    MemoryType.LOADER_DATA: 2,
    MemoryType.BOOT_SERVICES_DATA: 4,
    MemoryType.RUNTIME_SERVICES_DATA: 6,
    MemoryType.ACPI_RECLAIM: 9,
    MemoryType.ACPI_NVS: 10,
}
