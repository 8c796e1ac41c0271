"""EFI_STATUS by name (UEFI 2.10, appendix D): an agent and a driver report the number only."""

from __future__ import annotations

import re

_ERRORS = (
    *("EFI_LOAD_ERROR", "EFI_INVALID_PARAMETER", "EFI_UNSUPPORTED", "EFI_BAD_BUFFER_SIZE", "EFI_BUFFER_TOO_SMALL"),
    *("EFI_NOT_READY", "EFI_DEVICE_ERROR", "EFI_WRITE_PROTECTED", "EFI_OUT_OF_RESOURCES", "EFI_VOLUME_CORRUPTED"),
    *("EFI_VOLUME_FULL", "EFI_NO_MEDIA", "EFI_MEDIA_CHANGED", "EFI_NOT_FOUND", "EFI_ACCESS_DENIED", "EFI_NO_RESPONSE"),
    *("EFI_NO_MAPPING", "EFI_TIMEOUT", "EFI_NOT_STARTED", "EFI_ALREADY_STARTED", "EFI_ABORTED", "EFI_ICMP_ERROR"),
    *("EFI_TFTP_ERROR", "EFI_PROTOCOL_ERROR", "EFI_INCOMPATIBLE_VERSION", "EFI_SECURITY_VIOLATION", "EFI_CRC_ERROR"),
    *("EFI_END_OF_MEDIA", "", "", "EFI_END_OF_FILE", "EFI_INVALID_LANGUAGE", "EFI_COMPROMISED_DATA"),
    *("EFI_IP_ADDRESS_CONFLICT", "EFI_HTTP_ERROR"),
)
"""From 1 on; 29 and 30 are reserved."""
_ERROR_BITS = (2**63, 2**31)
"""Of 64-bit and of 32-bit firmware."""
_NUMBER = re.compile(r"(?P<hex>0x[0-9a-fA-F]{1,16})|[0-9]{1,20}", re.ASCII)


def name_of(status: int) -> str:
    """``EFI_NOT_FOUND`` for 0x800000000000000e; empty where the spec has no name, as for warnings."""
    if status == 0:
        return "EFI_SUCCESS"
    for bit in _ERROR_BITS:
        if bit < status < bit + 1 + len(_ERRORS):
            return _ERRORS[status - bit - 1]
    return ""


def with_name(said: str) -> str:
    """``EFI_NOT_FOUND, 0x800000000000000e`` for the number as an agent or a driver reports it; else as it is."""
    number = _NUMBER.fullmatch(said)
    name = name_of(int(said, 16 if number["hex"] else 10)) if number is not None else ""
    return f"{name}, {said}" if name else said
