"""The runtime driver's logbook: what its hooks saw, in one page of guest memory (docs/link-protocol.md).

The page is EfiRuntimeServicesData, so it lasts over kexec, and it is read from outside. All numbers are 64-bit
little-endian, on 32-bit firmware too.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from harness.evidence.defect import Defect
from harness.evidence.ranges import PAGE_BYTES
from harness.model.words.driver import Fault, Service, Target

LOGBOOK_BYTES = PAGE_BYTES
SAMPLE = "logbook"
"""Subject of its samples."""
MAGIC = b"HRNSLOGB"
VERSION = 1
_CR3_ADDRESS = 0x000F_FFFF_FFFF_F000
_HEADER = struct.Struct("<8s18Q")
_TARGETS = struct.Struct(f"<{len(Target)}Q")
_TARGET_PHYSICAL_AT, _TARGET_USED_AT = 0x100, 0x180
_SERVICES_AT, _SERVICE_BYTES = 0x200, 0x100
_SERVICE = struct.Struct("<19Q")


class DriverPhase(StrEnum):
    """How far the machine is, as the driver sees it."""

    BOOT = "boot"
    RUNTIME = "runtime"
    """Boot services have ended; addresses are physical."""
    VIRTUAL = "virtual"
    """The kernel has called SetVirtualAddressMap."""


@dataclass(frozen=True)
class ServiceLog:
    """What one hook saw. Registers are those at the entry of its last call."""

    hooked: bool
    armed: Fault
    """What the next call will do; always NONE for set-variable."""
    calls: int
    """All calls, those of boot services' time included."""
    runtime_calls: int
    """Calls after boot services ended. While it is 0 the registers are firmware's own."""
    returns: int
    """Calls that came back to the caller. Less than ``calls``: one is still inside, or never came back."""
    faults: int
    """Faults that were begun."""
    survived: int
    """Faults that were let through: no trap came, and the service went on."""
    last_fault: Fault
    fault_address: int
    """The address that the last fault touched or jumped to, as the processor saw it: the kernel's CR2. 0 for a fault
    that touches nothing."""
    fault_value: int
    """The eight bytes the last ``read-`` fault got, where it was let through."""
    status: int
    """EFI_STATUS of the last call that returned."""
    cr0: int
    cr3: int
    """On 32-bit firmware its low 32 bits."""
    cr4: int
    rflags: int
    cs: int
    stack: int
    """Stack pointer, about: that of the hook's own frame."""
    address: int
    """Where the hook ran: its own address, a virtual one once the kernel has called SetVirtualAddressMap."""
    caller: int
    """The address it returned to."""

    @property
    def page_table(self) -> int:
        """The guest-physical address of the top page table, without PCID and flags."""
        return self.cr3 & _CR3_ADDRESS


@dataclass(frozen=True)
class DriverImage:
    """Where the driver lies."""

    address: int
    """Guest-physical address of the image's first byte."""
    used: int
    """The same as the kernel maps it: a virtual address once the phase is VIRTUAL."""
    size_bytes: int
    code_offset: int
    """The code section, from the image's first byte."""
    code_bytes: int
    data_offset: int
    """The writable data section."""
    data_bytes: int


@dataclass(frozen=True)
class Logbook:
    """One reading of the page."""

    sequence: int
    """Two more with every change. It is odd while the driver is in the middle of one: such a page is refused."""
    nonce: str
    """Of the run: eight lower case hexadecimal digits."""
    phase: DriverPhase
    looping: Service | None
    """The service that is inside the fault ``loop`` now."""
    spins: int
    """Turns of that loop."""
    commands: int
    """Writes of magic variables that were understood."""
    refused: int
    """Writes of magic variables that named no service, no fault, or one that cannot be."""
    pointer_bytes: int
    """8, or 4 on 32-bit firmware."""
    image: DriverImage
    logbook_address: int
    """Guest-physical address of this page."""
    logbook_used: int
    """Its address as the driver uses it."""
    targets: Mapping[Target, int]
    """Guest-physical addresses."""
    targets_used: Mapping[Target, int]
    """The addresses that the driver uses now."""
    services: Mapping[Service, ServiceLog]


def parse(data: bytes) -> Logbook | Defect:
    """Decode the page (at least 4096 bytes; more are ignored)."""
    if len(data) < LOGBOOK_BYTES:
        return Defect(f"{len(data)} bytes do not hold the {LOGBOOK_BYTES} bytes of the driver's logbook")
    magic, version, *numbers = _HEADER.unpack_from(data)
    if (magic, version) != (MAGIC, VERSION):
        return _foreign(magic, version)
    sequence, nonce, phase, looping, spins, commands, refused, pointer_bytes, book_address, book_used, *image = numbers
    if phase >= len(DriverPhase) or looping > len(Service) or pointer_bytes not in (4, 8) or nonce >= 2**32:
        return Defect(f"the driver's logbook is damaged: phase {phase}, looping {looping}, pointers {pointer_bytes}")
    if sequence % 2:
        return Defect(f"the driver's logbook was read in the middle of change {sequence}")
    services: dict[Service, ServiceLog] = {}
    for service in Service:
        log = _service(data, service)
        if isinstance(log, Defect):
            return log
        services[service] = log
    return Logbook(
        sequence=sequence,
        nonce=f"{nonce:08x}",
        phase=list(DriverPhase)[phase],
        looping=list(Service)[looping - 1] if looping else None,
        spins=spins,
        commands=commands,
        refused=refused,
        pointer_bytes=pointer_bytes,
        image=DriverImage(*image),
        logbook_address=book_address,
        logbook_used=book_used,
        targets=dict(zip(Target, _TARGETS.unpack_from(data, _TARGET_PHYSICAL_AT), strict=True)),
        targets_used=dict(zip(Target, _TARGETS.unpack_from(data, _TARGET_USED_AT), strict=True)),
        services=services,
    )


def _foreign(magic: bytes, version: int) -> Defect:
    if magic != MAGIC:
        return Defect(f"the driver's logbook begins with {magic.hex()}, not {MAGIC.hex()}: it was overwritten")
    return Defect(f"the driver's logbook has version {version}, not {VERSION}")


def _service(data: bytes, service: Service) -> ServiceLog | Defect:
    numbers = _SERVICE.unpack_from(data, _SERVICES_AT + service.number * _SERVICE_BYTES)
    hooked, armed, calls, runtime_calls, returns, faults, survived, last_fault, *rest = numbers
    known = list(Fault)
    if hooked > 1 or armed >= len(known) or last_fault >= len(known):
        return Defect(f"the driver's logbook is damaged at {service}: hooked {hooked}, faults {armed}, {last_fault}")
    return ServiceLog(
        bool(hooked), known[armed], calls, runtime_calls, returns, faults, survived, known[last_fault], *rest
    )
