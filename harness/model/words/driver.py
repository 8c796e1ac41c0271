"""What the runtime driver can do: the services it hooks and the faults it commits in them (docs/link-protocol.md).

The driver (harness/firmware/agent/driver) stays in memory after boot and answers the kernel's calls of EFI runtime
services. Everything below is also in ``harness/firmware/agent/runtime_abi.h``; a test holds the two together.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import Field, model_validator

from harness.model.base import Value

MAGIC_GUID = "d2d24daf-8250-46e3-9d83-e40c1ed37d88"
"""Vendor GUID of the variables that are commands to the driver; all other variables go straight to firmware."""
WRITTEN_PATTERN = 0x2153_5345_4E52_4148
"""The eight bytes (``HARNESS!``) that the ``write-`` faults store; only ``write-code`` stores what it has read."""


class FirmwareArch(StrEnum):
    """The processor mode firmware runs in."""

    X64 = "x86_64"
    IA32 = "ia32"
    """32-bit firmware on a 64-bit processor; a 64-bit kernel runs on it in mixed mode (EFI_MIXED)."""

    @property
    def pointer_bytes(self) -> int:
        return 4 if self is FirmwareArch.IA32 else 8


class Service(StrEnum):
    """The runtime services that can be hooked (UEFI 2.10, 8)."""

    SET_VARIABLE = "set-variable"
    GET_TIME = "get-time"
    QUERY_VARIABLE_INFO = "query-variable-info"
    RESET_SYSTEM = "reset-system"

    @property
    def number(self) -> int:
        """The place of the service in the logbook."""
        return list(Service).index(self)


class Target(StrEnum):
    """What a fault touches. The EFI agent chooses the address and reports it in the ``runtime`` frame."""

    BOOT_SERVICES_DATA = "boot-services-data"
    """A page allocated as EfiBootServicesData; the kernel frees it and takes it out of the EFI page tables."""
    CONVENTIONAL = "conventional"
    """A page that was EfiConventionalMemory when the kernel was started; never in the EFI page tables, but for mixed
    mode, where the kernel maps all RAM (``should_map_region`` in arch/x86/platform/efi/efi.c)."""
    LOADER_DATA = "loader-data"
    """A page allocated as EfiLoaderData; as CONVENTIONAL."""
    CODE = "code"
    """A word between functions in the driver's code section (EfiRuntimeServicesCode): read-only by MEMATTR."""
    RUNTIME_DATA = "runtime-data"
    """A page allocated as EfiRuntimeServicesData that holds a RET: NX by its type."""
    IMAGE_DATA = "image-data"
    """A RET in the driver's data section (EfiRuntimeServicesCode): NX by MEMATTR only."""

    @property
    def number(self) -> int:
        """The place of the target in the logbook."""
        return list(Target).index(self)


class Trap(StrEnum):
    """What the processor does about a fault, when the kernel's page tables are as they should be."""

    PAGE_FAULT = "page-fault"
    GENERAL_PROTECTION = "general-protection"
    INVALID_OPCODE = "invalid-opcode"
    DIVIDE_ERROR = "divide-error"
    NONE = "none"
    """Nothing: the service does not return, or returns with interrupts off."""


class Fault(StrEnum):
    """What goes wrong inside a runtime service. Only after boot services have ended, never before."""

    NONE = "none"
    """Nothing, or armed no longer."""
    READ_BOOT_SERVICES_DATA = "read-boot-services-data"
    WRITE_BOOT_SERVICES_DATA = "write-boot-services-data"
    READ_CONVENTIONAL = "read-conventional"
    WRITE_CONVENTIONAL = "write-conventional"
    READ_LOADER_DATA = "read-loader-data"
    WRITE_LOADER_DATA = "write-loader-data"
    WRITE_CODE = "write-code"
    """Into the driver's own code. Needs ``memattr: correct``; otherwise the kernel maps code writable."""
    EXECUTE_DATA = "execute-data"
    EXECUTE_IMAGE_DATA = "execute-image-data"
    """Needs ``memattr: correct``."""
    NON_CANONICAL = "non-canonical"
    """A read of a non-canonical address. Not on 32-bit firmware, which has no such addresses."""
    LOOP = "loop"
    """For ever. The logbook says so while it lasts."""
    UNDEFINED_OPCODE = "undefined-opcode"
    DIVIDE_ERROR = "divide-error"
    INTERRUPTS_OFF = "interrupts-off"
    """CLI, then the service returns as if nothing had happened."""

    @property
    def number(self) -> int:
        """The fault in the logbook."""
        return list(Fault).index(self)

    @property
    def target(self) -> Target | None:
        """What it touches; None where it needs no address."""
        return _TARGETS.get(self)

    @property
    def trap(self) -> Trap:
        """What the processor makes of it."""
        return Trap.PAGE_FAULT if self in _TARGETS else _OTHER_TRAPS.get(self, Trap.NONE)

    @property
    def needs_memattr(self) -> bool:
        """Whether only the Memory Attributes Table makes it a fault."""
        return self.target in (Target.CODE, Target.IMAGE_DATA)

    @property
    def on_ia32(self) -> bool:
        """Whether 32-bit firmware can commit it."""
        return self is not Fault.NON_CANONICAL


_TARGETS = {
    Fault.READ_BOOT_SERVICES_DATA: Target.BOOT_SERVICES_DATA,
    Fault.WRITE_BOOT_SERVICES_DATA: Target.BOOT_SERVICES_DATA,
    Fault.READ_CONVENTIONAL: Target.CONVENTIONAL,
    Fault.WRITE_CONVENTIONAL: Target.CONVENTIONAL,
    Fault.READ_LOADER_DATA: Target.LOADER_DATA,
    Fault.WRITE_LOADER_DATA: Target.LOADER_DATA,
    Fault.WRITE_CODE: Target.CODE,
    Fault.EXECUTE_DATA: Target.RUNTIME_DATA,
    Fault.EXECUTE_IMAGE_DATA: Target.IMAGE_DATA,
}
_OTHER_TRAPS = {
    Fault.NON_CANONICAL: Trap.GENERAL_PROTECTION,
    Fault.UNDEFINED_OPCODE: Trap.INVALID_OPCODE,
    Fault.DIVIDE_ERROR: Trap.DIVIDE_ERROR,
}


class MemattrChoice(StrEnum):
    """What becomes of firmware's Memory Attributes Table, which leaves out drivers that are loaded this late."""

    CORRECT = "correct"
    """It describes the driver: code read-only and executable, data writable and NX."""
    KEEP = "keep"
    """It stays as firmware made it: all of the driver is NX, and the first call of a hook faults."""
    DROP = "drop"
    """It is taken away: the kernel maps all runtime code writable and executable."""


class RuntimePlan(Value):
    """The runtime driver of one run: the ``runtime`` line of the agent's plan."""

    driver: Path
    """``driver.efi``, for the firmware's architecture."""
    driver_sha256: str
    hooks: tuple[Service, ...] = tuple(Service)
    armed: dict[Service, Fault] = Field(default_factory=dict)
    """Faults that every runtime call of the service commits, from the first on. Not for set-variable, whose faults are
    chosen by the variable that is written."""
    memattr: MemattrChoice = MemattrChoice.CORRECT
    symbols: dict[str, int] = Field(default_factory=dict)
    """Offsets of the driver's functions from the image base, bytes."""

    @model_validator(mode="after")
    def _consistent(self) -> RuntimePlan:
        if not self.hooks or len(set(self.hooks)) != len(self.hooks):
            raise ValueError("hooks must name at least one service, each once")
        for service in self.armed:
            if service not in self.hooks:
                raise ValueError(f"{service} is armed but not hooked")
        if Service.SET_VARIABLE in self.armed:
            raise ValueError("set-variable cannot be armed: the variable that is written chooses its fault")
        if Fault.NONE in self.armed.values():
            raise ValueError("armed with 'none': leave it out")
        return self
