"""How the guest commands the runtime driver, written a second time: what its scripts must write."""

from __future__ import annotations

from harness.model.words.driver import MAGIC_GUID, Fault, Service

COMMAND_ATTRIBUTES = 6
"""BOOTSERVICE_ACCESS | RUNTIME_ACCESS. Without NON_VOLATILE the kernel does not call QueryVariableInfo first
(``efi_query_variable_store`` of Linux)."""


def command_file(service: Service, number: int) -> str:
    """The name in efivarfs of the variable that commands ``service``.

    Args:
        number: another one for each command of a boot. When a write fails, efivarfs keeps the new file, immutable, and
            a second open for writing fails with EPERM (seen on 6.1).
    """
    return f"{service}.{number}-{MAGIC_GUID}"


def command_data(fault: Fault) -> bytes:
    """What to write to :func:`command_file` in one write(2): the attributes, then the fault's name.

    ``set-variable`` commits the fault inside this very call. The others are armed by it (or disarmed, by ``none``) and
    commit it in every later call of that service.
    """
    return COMMAND_ATTRIBUTES.to_bytes(4, "little") + fault.value.encode("ascii")
