"""Memory maps as kernels, hypervisors and firmware have printed them, and what mailers and consoles do to that.

The formats are those of the sources named beside them, written anew.
"""

from __future__ import annotations

import quopri
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.evidence.maps.efimap import EfiRegion

RUN = 1 << 63
LONG = (
    *("Reserved", "Loader Code", "Loader Data", "Boot Code", "Boot Data", "Runtime Code", "Runtime Data"),
    *("Conventional Memory", "Unusable Memory", "ACPI Reclaim Memory", "ACPI Memory NVS", "Memory Mapped I/O"),
    *("MMIO Port Space", "PAL Code", "Persistent Memory"),
)
SHORT = (
    *("Reserved", "Loader Code", "Loader Data", "Boot Code", "Boot Data", "Runtime Code", "Runtime Data"),
    *("Conventional", "Unusable", "ACPI Reclaim", "ACPI Mem NVS", "MMIO", "MMIO Port", "PAL Code", "Persistent"),
    "Unaccepted",
)
SHELL = (
    *("Reserved", "LoaderCode", "LoaderData", "BS_Code", "BS_Data", "RT_Code", "RT_Data", "Available", "Unusable"),
    *("ACPI_Recl", "ACPI_NVS", "MMIO", "MMIO_Port", "PalCode", "Persistent"),
)
BITS = {"RUN": 63, "HP": 20, "MR": 16, "CC": 19, "SP": 18, "NV": 15, "XP": 14, "RP": 13, "WP": 12, "RO": 17}
BITS |= {"UCE": 4, "WB": 3, "WT": 2, "WC": 1, "UC": 0}
V4 = ("RUN", "XP", "RP", "WP", "UCE", "WB", "WT", "WC", "UC")
V46 = ("RUN", "MR", "NV", "XP", "RP", "WP", "UCE", "WB", "WT", "WC", "UC")
V5 = ("RUN", "MR", "SP", "NV", "XP", "RP", "WP", "RO", "UCE", "WB", "WT", "WC", "UC")
V6 = ("RUN", "HP", "MR", "CC", "SP", "NV", "XP", "RP", "WP", "RO", "UCE", "WB", "WT", "WC", "UC")


def typeattr(region: EfiRegion, words: Sequence[str], columns: Sequence[str]) -> str:
    """efi_md_typeattr_format(), drivers/firmware/efi/efi.c"""
    width = max(map(len, words))
    kind = f"{words[region.type]:{width}}" if region.type < len(words) else f"type={region.type}"
    if region.attributes & ~sum(1 << BITS[name] for name in columns):
        return f"[{kind}|attr=0x{region.attributes:016x}]"
    shown = [f"{name if region.attributes >> BITS[name] & 1 else '':>{3 if len(name) == 3 else 2}}" for name in columns]
    return f"[{kind}|{'|'.join(shown)}]"


def old(region: EfiRegion, number: int) -> str:
    where, size = region.range, region.range.size_bytes >> 20
    return (
        f"mem{number:02}: type={region.type}, attr=0x{region.attributes:x}, "
        f"range=[0x{where.start:016x}-0x{where.end:016x}) ({size}MB)"
    )


def numbered(words: Sequence[str], columns: Sequence[str], *, inclusive: bool) -> Callable[[EfiRegion, int], str]:
    def line(region: EfiRegion, number: int) -> str:
        where = region.range
        end = f"0x{where.last:016x}]" if inclusive else f"0x{where.end:016x})"
        shown = typeattr(region, words, columns)
        return f"efi: mem{number:02}: {shown} range=[0x{where.start:016x}-{end} ({where.size_bytes >> 20}MB)"

    return line


def ia64(region: EfiRegion, number: int) -> str:
    """efi_init(), arch/ia64/kernel/efi.c"""
    size, unit = region.range.size_bytes, "KB"
    for bits, name in ((40, "TB"), (30, "GB"), (20, "MB"), (10, "KB")):
        if size >> bits:
            size, unit = size >> bits, name
            break
    where = f"range=[0x{region.range.start:016x}-0x{region.range.end:016x})"
    return f"mem{number:02}: {typeattr(region, LONG, V46)} {where} ({size:4}{unit})"


def plain(words: Sequence[str], columns: Sequence[str], end: str = "") -> Callable[[EfiRegion, int], str]:
    """reserve_regions(), drivers/firmware/efi/efi-init.c"""

    def line(region: EfiRegion, number: int) -> str:
        where = region.range
        return f"efi:   0x{where.start:012x}-0x{where.last:012x} {typeattr(region, words, columns)}{end}"

    return line


def xen(region: EfiRegion, number: int) -> str:
    """efi_init_memory(), xen/common/efi/boot.c"""
    where = region.range
    return f"(XEN)  {where.start:013x}-{where.last:013x} type={region.type} attr={region.attributes:016x}"


def shell(region: EfiRegion, number: int) -> str:
    """UefiShellDebug1CommandsLib/MemMap.c"""
    kind = SHELL[region.type] if region.type < len(SHELL) else f"{region.type:08x}"
    where, pages = region.range, region.range.size_bytes >> 12
    return f"{kind:10} {where.start:016X}-{where.last:016X} {pages:016X} {region.attributes:016X}"


@dataclass(frozen=True)
class Wording:
    """One form of a whole map."""

    line: Callable[[EfiRegion, int], str]
    header: str = ""

    def lines(self, regions: Sequence[EfiRegion]) -> list[str]:
        head = [self.header] if self.header else []
        return head + [self.line(region, number) for number, region in enumerate(regions)]


WORDINGS = {
    "2.6 ia64 and i386": Wording(old),
    "2.6.2x": Wording(lambda region, number: "EFI: " + old(region, number)),
    "3.x": Wording(lambda region, number: "efi: " + old(region, number), "efi: EFI v2.31 by American Megatrends"),
    "4.0": Wording(numbered(LONG, V4, inclusive=False)),
    "4.4": Wording(numbered(LONG, V46, inclusive=False)),
    "4.6": Wording(numbered(LONG, V5, inclusive=True)),
    "5.7": Wording(numbered(SHORT, V5, inclusive=True)),
    "6.15": Wording(numbered(SHORT, V6, inclusive=True)),
    "ia64": Wording(ia64),
    "arm64 4.x": Wording(plain(LONG, V46, "*"), "efi: Processing EFI memory map:"),
    "arm64 5.x": Wording(plain(SHORT, V5), "efi: Processing EFI memory map:"),
    "riscv 6.x": Wording(plain(SHORT, V6), "efi: Processing EFI memory map:"),
    "arm64, cut out": Wording(plain(SHORT, V6)),
    "xen": Wording(xen, "(XEN) EFI memory map:"),
    "shell": Wording(shell, "Type       Start            End              # Pages          Attributes"),
}


def stamped(text: str) -> str:
    return f"[    0.000000] {text}"


PREFIXES: dict[str, Callable[[str], str]] = {
    "none": str,
    "stamp": stamped,
    "level": lambda text: f"<6>{stamped(text)}",
    "caller": lambda text: f"[    0.000000][    T0] {text}",
    "caller alone": lambda text: f"[    T0] {text}",
    "tabs": lambda text: f"[\t0.000000] {text}",
    "dmesg -T": lambda text: f"[Mon Nov 30 10:11:12 2026] {text}",
    "dmesg -H": lambda text: f"[  +0.000003] {text}",
    "iso": lambda text: f"2026-11-30T10:11:12,345678+01:00 {text}",
    "syslog": lambda text: f"Nov 30 10:11:12 host kernel: {stamped(text)}",
    "journal": lambda text: f"Nov 30 10:11:12 host kernel: {text}",
    "kmsg": lambda text: f"6,123,0,-;{text}",
    "kernel alone": lambda text: f"kernel: {text}",
    "quoted": lambda text: f"> > {stamped(text)}",
    "quoted tight": lambda text: f">>{text}",
    "indented": lambda text: f"    {stamped(text)}",
    "github": lambda text: f"2026-11-30T10:11:12.3456789Z {stamped(text)}",
    "guest of xen": lambda text: f"(d1) {text}",
    "escapes": lambda text: f"\x1b[32m{stamped(text)}\x1b[0m",
    "json strings": lambda text: f'  "{text}",',
}


def unwrapped(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def crlf(lines: Sequence[str]) -> bytes:
    return unwrapped(lines).replace(b"\n", b"\r\n")


def mailed(width: int, quote: str = "") -> Callable[[Sequence[str]], bytes]:
    """As a mailer cuts lines, at blanks, before it quotes them."""

    def wrap(lines: Sequence[str]) -> bytes:
        found: list[str] = []
        for line in lines:
            found += textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) or [""]
        return "".join(f"{quote}{line}\n" for line in found).encode()

    return wrap


def columns(width: int) -> Callable[[Sequence[str]], bytes]:
    """As a terminal of so many columns cuts them, anywhere."""

    def wrap(lines: Sequence[str]) -> bytes:
        return "".join(
            f"{line[at : at + width]}\n" for line in lines for at in range(0, len(line) or 1, width)
        ).encode()

    return wrap


def quoted_printable(lines: Sequence[str]) -> bytes:
    return quopri.encodestring(unwrapped(lines))


WRAPS: dict[str, Callable[[Sequence[str]], bytes]] = {
    "as they are": unwrapped,
    "crlf": crlf,
    "mail 72": mailed(72),
    "mail 80": mailed(80),
    "mail 65, quoted": mailed(65, "> "),
    "mail 76, quoted twice": mailed(76, "> > "),
    "terminal 80": columns(80),
    "terminal 100": columns(100),
    "quoted-printable": quoted_printable,
}
