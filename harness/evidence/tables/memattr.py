"""The EFI Memory Attributes Table (UEFI 2.10, 4.6.4): header and sanity."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from harness.evidence.defect import Defect

HEADER_BYTES = 16
_DESCRIPTOR_BYTES = 40
_MAX_DESCRIPTOR_BYTES = 4096
_MAX_ENTRIES = 0x10000
_MAX_VERSION = 2


@dataclass(frozen=True)
class Memattr:
    version: int
    count: int
    descriptor_size_bytes: int
    flags: int

    @property
    def size_bytes(self) -> int:
        """Header and all descriptors."""
        return HEADER_BYTES + self.count * self.descriptor_size_bytes


def parse(data: bytes, map_descriptor_size_bytes: int = _MAX_DESCRIPTOR_BYTES) -> Memattr | Defect:
    """Decode the header (the first 16 bytes; more are ignored) with the sanity checks of newer kernels.

    Linux before 6.13 accepts much that is refused here: 8fbe4c49c0cc "efi/memattr: Ignore table if the size is
    clearly bogus" is not in Debian's 5.10, 6.1 and 6.12. A zeroed header is refused here and by no kernel: they find
    no entries and leave the runtime regions without their permissions, in silence.

    Args:
        map_descriptor_size_bytes: the descriptor size of the EFI memory map, where it is known: a table with larger
            descriptors is refused.
    """
    if len(data) < HEADER_BYTES:
        return Defect(f"{len(data)} bytes do not hold the 16-byte MEMATTR header")
    table = Memattr(*struct.unpack_from("<IIII", data))
    if table.version > _MAX_VERSION:
        signed = table.version - 2**32 if table.version >> 31 else table.version
        return Defect(
            f"MEMATTR version is {table.version:#x}, not 1 or 2",
            f"Unexpected EFI Memory Attributes table version {signed}",
        )
    if table.version == 0:
        return Defect("MEMATTR version is 0, not 1 or 2" + (": the header is all zeros" if not any(data[:16]) else ""))
    if not _DESCRIPTOR_BYTES <= table.descriptor_size_bytes <= map_descriptor_size_bytes:
        return Defect(
            f"MEMATTR descriptors of {table.descriptor_size_bytes} bytes make no sense",
            f"Unexpected EFI Memory Attributes descriptor size {table.descriptor_size_bytes}",
        )
    if table.count > _MAX_ENTRIES:
        return Defect(
            f"MEMATTR claims {table.count} entries",
            "[Firmware Bug]: Corrupted EFI Memory Attributes Table detected! "
            f"(version == {table.version}, desc_size == {table.descriptor_size_bytes}, num_entries == {table.count})",
        )
    return table
