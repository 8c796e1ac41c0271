"""EFI_RT_PROPERTIES_TABLE (UEFI 2.10, 4.6.2): which runtime services firmware says it has.

Linux takes the 8 bytes once, at boot, and ANDs the mask into its own (efi_config_parse_tables(),
drivers/firmware/efi/efi.c). No file shows the mask. What shows is its effect: without GetVariable and
GetNextVariableName efisubsys_init() registers no variable operations, and efivarfs cannot be mounted; without
SetVariable it is mounted read-only.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from harness.evidence.defect import Defect
from harness.evidence.tables.shown import Shown, listed

TABLE_BYTES = 8
GET_VARIABLE = 0x10
GET_NEXT_VARIABLE_NAME = 0x20
SET_VARIABLE = 0x40
_NEEDED = GET_VARIABLE | GET_NEXT_VARIABLE_NAME
_LAYOUT = struct.Struct("<HHI")
_FACT = "efivarfs"


@dataclass(frozen=True)
class RtProp:
    version: int
    length: int
    mask: int

    @property
    def size_bytes(self) -> int:
        return TABLE_BYTES


def build(mask: int) -> bytes:
    """Version 1, 8 bytes long."""
    return _LAYOUT.pack(1, TABLE_BYTES, mask)


def parse(data: bytes) -> RtProp | Defect:
    """Decode the table as the spec says it is. Linux looks at neither version nor length."""
    if len(data) < TABLE_BYTES:
        return Defect(f"{len(data)} bytes do not hold the 8 bytes of an RTPROP table")
    table = RtProp(*_LAYOUT.unpack_from(data))
    if table.version != 1 or table.length != TABLE_BYTES:
        return Defect(f"RTPROP version {table.version:#x} of {table.length} bytes, not version 1 of 8")
    return table


def differences(shown: Shown) -> tuple[str, ...]:
    """What the kernel does otherwise than the table says, one line each; empty when all agrees."""
    table = parse(shown.content)
    if isinstance(table, Defect):
        return (f"firmware's own table is bad: {table}",)
    variables = shown.values(_FACT).get("mounted")
    if table.mask & _NEEDED == _NEEDED and variables != "yes":
        reason = shown.values(_FACT).get("message", "")
        return (
            f"the table has GetVariable and GetNextVariableName (mask {table.mask:#x}), but efivarfs cannot be mounted"
            + (f": {reason}" if reason else ""),
        )
    if table.mask & _NEEDED != _NEEDED and variables == "yes":
        return (f"the table lacks GetVariable or GetNextVariableName (mask {table.mask:#x}), but efivarfs is mounted",)
    writable = shown.values(_FACT).get("options", "").split(",")[0] == "rw"
    if variables == "yes" and writable != bool(table.mask & SET_VARIABLE):
        has, how = ("lacks", "can be written to") if writable else ("has", "is read-only")
        return (f"the table {has} SetVariable (mask {table.mask:#x}), but efivarfs {how}",)
    return listed(shown)
