"""A kernel's configuration, and what it makes possible. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.model.kernel import Capability, Decision

_LINE = re.compile(r"(?:CONFIG_(?P<name>\w+)=(?P<value>.*)|# CONFIG_(?P<unset>\w+) is not set)")

_NEEDS: Mapping[Capability, tuple[str, ...]] = {
    Capability.EFI: ("EFI", "EFI_STUB"),
    # drivers/firmware/efi/Kconfig: `config EFI_ESRT` is `def_bool y` below EFI, so it is off only where EFI is
    Capability.ESRT: ("EFI", "EFI_ESRT"),
    Capability.BGRT: ("EFI", "ACPI_BGRT"),
    # drivers/firmware/efi/Makefile builds mokvar-table.o for it
    Capability.MOKVAR: ("EFI", "LOAD_UEFI_KEYS"),
    Capability.UNACCEPTED_MEMORY: ("EFI", "UNACCEPTED_MEMORY"),
    Capability.TPM_TIS: ("TCG_TPM", "TCG_TIS", "SECURITYFS"),
    Capability.TPM_CRB: ("TCG_TPM", "TCG_CRB", "SECURITYFS"),
    Capability.KEXEC_LOAD: ("KEXEC",),
    Capability.KEXEC_FILE_LOAD: ("KEXEC_FILE",),
    Capability.FIRMWARE_MEMMAP: ("FIRMWARE_MEMMAP",),
    Capability.EFI_FAKE_MEMMAP: ("EFI_FAKE_MEMMAP",),
    Capability.EFI_SOFT_RESERVE: ("EFI_SOFT_RESERVE",),
    Capability.CRASH_DUMP: ("CRASH_DUMP", "PROC_VMCORE"),
    Capability.SYSRQ: ("MAGIC_SYSRQ",),
    Capability.SYSRQ_SERIAL: ("MAGIC_SYSRQ", "MAGIC_SYSRQ_SERIAL"),
    # A module would do for the kernel, but not for the guest's initramfs, which brings none but the harness's own.
    Capability.LKDTM: ("LKDTM",),
    Capability.SOFTLOCKUP_DETECTOR: ("SOFTLOCKUP_DETECTOR",),
    # A PV dom0; its console is hvc0.
    Capability.XEN_DOM0: ("XEN_DOM0", "XEN_PV", "HVC_XEN"),
}
_MODULES = frozenset({"TCG_TPM", "TCG_TIS", "TCG_CRB"})
"""What may be a module: the guest's initramfs brings it (harness/guest/modules.py)."""
_REMOVED: Mapping[Capability, tuple[tuple[int, int], str]] = {
    Capability.EFI_FAKE_MEMMAP: (
        (6, 11),
        'efi_fake_mem= was removed in Linux 6.11 (37aee82c213d, "x86/efi: Drop support for fake EFI memory maps")',
    )
}
"""Since which version of Linux there is no such thing, whatever the configuration says."""


@dataclass(frozen=True)
class Config:
    """The symbols of a ``.config``; a symbol that is not set is absent."""

    values: Mapping[str, str] = field(default_factory=dict)
    source: str = "config"
    """Where it was read, for people."""

    def get(self, symbol: str) -> str:
        """The symbol's value without the CONFIG_ prefix: ``y``, ``m``, a number or text; ``n`` when it is not set."""
        return self.values.get(symbol, "n")


def parse(text: str, source: str) -> Config | None:
    """The configuration in ``text``, or None when there is not one symbol in it."""
    values = {}
    seen = False
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        seen = True
        if match["name"]:
            values[match["name"]] = match["value"].strip('"')
    return Config(values, source) if seen else None


def decide(config: Config | None, release: str) -> dict[Capability, Decision]:
    """What this kernel can do, each with a reason that names the symbol and where it was read.

    An unknown configuration makes nothing impossible but what that version of Linux has not: the guest's own facts
    then decide.
    """
    return {capability: _decide(config, capability, release) for capability in Capability}


def _decide(config: Config | None, capability: Capability, release: str) -> Decision:
    removed = _REMOVED.get(capability)
    if removed is not None and _version(release) >= removed[0]:
        return Decision(possible=False, reason=f"{removed[1]} ({release})")
    if config is None:
        return Decision(possible=True, reason=f"config unknown: not checked (no config was found for {release})")
    symbols = _NEEDS[capability]
    for symbol in symbols:
        value = config.get(symbol)
        if value != "y" and not (value == "m" and symbol in _MODULES):
            seen = "is not set" if value == "n" else f"is {value}, y is needed"
            return Decision(possible=False, reason=f"CONFIG_{symbol} {seen} in {config.source} ({release})")
    named = " and ".join(f"CONFIG_{symbol}={config.get(symbol)}" for symbol in symbols)
    return Decision(possible=True, reason=f"{named} in {config.source}")


def _version(release: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", release)
    return (int(match[1]), int(match[2])) if match else (0, 0)
