"""All memory maps of a log, of whatever kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.evidence import klog, logform
from harness.evidence.e820log import e820_tables
from harness.evidence.efilog import efi_maps
from harness.evidence.iomemlog import iomem_listings
from harness.evidence.klog import Line
from harness.evidence.maplog import LogMap, MapKind, MapLog, Remark

_Found = tuple[tuple[LogMap, ...], tuple[Remark, ...]]
_READERS: tuple[tuple[MapKind, Callable[[Sequence[Line]], _Found]], ...] = (
    (MapKind.EFI, efi_maps),
    (MapKind.E820, e820_tables),
    (MapKind.IOMEM, iomem_listings),
)


def read(log: bytes) -> MapLog:
    """The EFI maps, e820 tables and /proc/iomem listings of a console log, a mail or a file.

    Nothing is wrong with a log that has none.
    """
    lines = klog.lines(log)
    stripped = _stripped(lines)
    maps: list[LogMap] = []
    damaged: list[tuple[MapKind, Remark]] = []
    for kind, reader in _READERS:
        found = reader(lines)
        if not found[0] or found[1] or len(stripped) < len(lines):
            # Entries say themselves what they are, whatever stands before them; but for some, and those that are cut.
            found = max(found, reader(stripped), key=_worth)
        maps += found[0]
        damaged += [(kind, remark) for remark in found[1]]
    return MapLog(tuple(maps), tuple(damaged))


def _stripped(lines: Sequence[Line]) -> list[Line]:
    """The lines without anything in front, those that were cut joined again."""
    found = logform.strip([line.text for line in lines])
    return [Line(lines[item.number - 1].number, lines[item.number - 1].offset, None, item.text) for item in found]


def _worth(found: _Found) -> int:
    """Of two readings the one with more in whole maps counts; the first, when they have the same."""
    return sum(item.size for item in found[0])
