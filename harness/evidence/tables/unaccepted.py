"""The unaccepted memory table (struct efi_unaccepted_memory, include/linux/efi.h; 2053bc57f367, v6.5).

A stub or firmware makes it; the running kernel looks into its bitmap before it uses memory, and accepts what has
its bit set. A bitmap of zeros asks for nothing, so it can be given to any machine. The crash kernel reads it too.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from harness.evidence.defect import Defect
from harness.evidence.tables.shown import Shown, listed

HEADER_BYTES = 24
_HEADER = struct.Struct("<IIQQ")
_FACT = "meminfo"


@dataclass(frozen=True)
class Unaccepted:
    version: int
    unit_bytes: int
    """How much memory each bit is about."""
    base: int
    bitmap_bytes: int

    @property
    def size_bytes(self) -> int:
        """Header and bitmap."""
        return HEADER_BYTES + self.bitmap_bytes


def build(*, base: int, size_bytes: int, unit_bytes: int) -> bytes:
    """The table's bytes: all of the memory is accepted."""
    bits = -(-size_bytes // unit_bytes)
    bitmap = bytes(-(-bits // 8))
    return _HEADER.pack(1, unit_bytes, base, len(bitmap)) + bitmap


def parse(data: bytes) -> Unaccepted | Defect:
    """Decode the header; Linux looks at the version only."""
    if len(data) < HEADER_BYTES:
        return Defect(f"{len(data)} bytes do not hold the header of the unaccepted memory table")
    table = Unaccepted(*_HEADER.unpack_from(data))
    if table.version != 1:
        return Defect(f"the unaccepted memory table's version is {table.version:#x}, not 1")
    return table


def differences(shown: Shown) -> tuple[str, ...]:
    """What the kernel says otherwise than the table: with a bitmap of zeros nothing may be left to accept.

    /proc/meminfo has ``Unaccepted:`` since 6.5 (dcdfdd40fa82), with CONFIG_UNACCEPTED_MEMORY.
    """
    table = parse(shown.content)
    if isinstance(table, Defect):
        return (f"firmware's own table is bad: {table}",)
    line = next((line for line in shown.text(_FACT).splitlines() if line.startswith("Unaccepted:")), None)
    if line is None:
        return ("/proc/meminfo has no line Unaccepted:",)
    if not any(shown.content[HEADER_BYTES:]) and line.split()[1:2] != ["0"]:
        return (f"all bits of the table are 0, but /proc/meminfo says {' '.join(line.split())}",)
    return listed(shown)
