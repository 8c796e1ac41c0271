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
    Capability.KEXEC_LOAD: ("KEXEC",),
    Capability.KEXEC_FILE_LOAD: ("KEXEC_FILE",),
    Capability.FIRMWARE_MEMMAP: ("FIRMWARE_MEMMAP",),
}


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

    An unknown configuration makes nothing impossible: the guest's own facts then decide.
    """
    if config is None:
        unknown = Decision(possible=True, reason=f"config unknown: not checked (no config was found for {release})")
        return dict.fromkeys(Capability, unknown)
    return {capability: _decide(config, _NEEDS[capability], release) for capability in Capability}


def _decide(config: Config, symbols: tuple[str, ...], release: str) -> Decision:
    for symbol in symbols:
        value = config.get(symbol)
        if value != "y":
            seen = "is not set" if value == "n" else f"is {value}, y is needed"
            return Decision(possible=False, reason=f"CONFIG_{symbol} {seen} in {config.source} ({release})")
    named = " and ".join(f"CONFIG_{symbol}=y" for symbol in symbols)
    return Decision(possible=True, reason=f"{named} in {config.source}")
