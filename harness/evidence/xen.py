"""What Xen and its dom0 print about firmware's memory and tables."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from harness.evidence.klog import CONFIG_LINE, Line
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.ranges import Range

PREFIX = "(XEN) "
_PREFIX = r"\(XEN\) (?:\[[^\]]*\] )?"
# xen/common/efi/boot.c or xen/arch/x86/efi, efi_init_memory(), at loglvl=all
_REGION = re.compile(
    _PREFIX + r" ?(?P<start>[0-9a-f]{13})-(?P<last>[0-9a-f]{13}) type=(?P<type>\d+) attr=(?P<attributes>[0-9a-f]{16})"
)
# xen/arch/x86/e820.c, print_e820_memory_map()
_E820 = re.compile(_PREFIX + r" ?\[(?P<start>[0-9a-f]{16}), (?P<last>[0-9a-f]{16})\] \((?P<what>[^)]*)\)")
_VERSION = re.compile(_PREFIX + r"Xen version (?P<version>\S+) ")
_CMDLINE = re.compile(_PREFIX + r"Command line: (?P<cmdline>.*)")
# drivers/firmware/efi/efi.c, match_config_table(); "unusable" since c0fecaa44dc3 (v6.3)
_TABLE = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9]*(?: \d\.\d)?)=(?P<address>0x[0-9a-f]+)(?P<unusable> unusable\))?")
_CONTINUED = re.compile(r"(?:\(?[A-Za-z][A-Za-z0-9]*(?: \d\.\d)?=0x[0-9a-f]+(?: unusable\))?\s*)+")
# drivers/xen/efi.c, efi_mem_desc_lookup()
_LOOKUP_FAILED = re.compile(r"Failed to lookup header 0x[0-9a-f]+ in Xen memory map: error -\d+")

# efi_config_table_is_usable() of drivers/xen/efi.c: the types that Xen keeps whatever its options are.
KEPT_TYPES = frozenset({0, 5, 6, 9, 10})
"""EfiReservedMemoryType, EfiRuntimeServicesCode and Data, EfiACPIReclaimMemory, EfiACPIMemoryNVS."""
BOOT_SERVICES_TYPES = frozenset({3, 4})
"""Kept with -mapbs only."""


@dataclass(frozen=True)
class Listed:
    """A configuration table as dom0 names it when it starts."""

    name: str
    """The kernel's, such as ``ESRT`` or ``ACPI 2.0``."""
    address: int
    usable: bool
    line: Line


def is_xen(line: Line) -> bool:
    """Is it Xen that speaks?"""
    return line.text.startswith(PREFIX.rstrip())


def dom0(lines: Iterable[Line]) -> tuple[Line, ...]:
    """The lines that are not Xen's."""
    return tuple(line for line in lines if not is_xen(line))


def efi_map(lines: Iterable[Line]) -> tuple[EfiRegion, ...]:
    """The EFI memory map with which Xen left boot services; empty when it was not printed."""
    found = []
    for line in lines:
        match = _REGION.match(line.text)
        if match is not None:
            where = Range.inclusive(int(match["start"], 16), int(match["last"], 16))
            found.append(EfiRegion(int(match["type"]), where, int(match["attributes"], 16)))
    return tuple(found)


def e820(lines: Iterable[Line]) -> tuple[tuple[Range, str], ...]:
    """The RAM map that Xen made of it: ranges with Xen's words for them."""
    matches = (_E820.match(line.text) for line in lines)
    return tuple(
        (Range.inclusive(int(match["start"], 16), int(match["last"], 16)), match["what"]) for match in matches if match
    )


def version(lines: Iterable[Line]) -> tuple[str, Line] | None:
    """The version that Xen says it is, and where."""
    return next(((match["version"], line) for line in lines if (match := _VERSION.match(line.text))), None)


def command_line(lines: Iterable[Line]) -> str | None:
    """The options that Xen says it was given."""
    return next((match["cmdline"].strip() for line in lines if (match := _CMDLINE.match(line.text))), None)


def listed(lines: Iterable[Line]) -> tuple[Listed, ...]:
    """The configuration tables that a kernel names, of its first such line and what continues it.

    A complaint about one table breaks the line; the names go on in lines of their own.
    """
    found: list[Listed] = []
    for line in dom0(lines):
        if not found and not CONFIG_LINE.match(line.text):
            continue
        if found and not _CONTINUED.fullmatch(line.text.strip()):
            if _LOOKUP_FAILED.match(line.text):
                continue
            break
        found += [
            Listed(match["name"], int(match["address"], 16), match["unusable"] is None, line)
            for match in _TABLE.finditer(line.text)
        ]
    return tuple(found)
