"""All memory maps of a log, of whatever kind."""

from __future__ import annotations

from harness.evidence import klog
from harness.evidence.e820log import e820_tables
from harness.evidence.efilog import efi_maps
from harness.evidence.iomemlog import iomem_listings
from harness.evidence.maplog import LogMap, MapKind, MapLog, Remark

_READERS = ((MapKind.EFI, efi_maps), (MapKind.E820, e820_tables), (MapKind.IOMEM, iomem_listings))


def read(log: bytes) -> MapLog:
    """The EFI maps, e820 tables and /proc/iomem listings of a console log, a mail or a file.

    Nothing is wrong with a log that has none.
    """
    lines = klog.lines(log)
    maps: list[LogMap] = []
    damaged: list[tuple[MapKind, Remark]] = []
    for kind, reader in _READERS:
        whole, wrong = reader(lines)
        maps += whole
        damaged += [(kind, remark) for remark in wrong]
    return MapLog(tuple(maps), tuple(damaged))
