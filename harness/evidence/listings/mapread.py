"""All memory maps of a log, of whatever kind."""

from __future__ import annotations

import quopri
from collections.abc import Callable, Sequence

from harness.evidence import klog, logform
from harness.evidence.klog import Line
from harness.evidence.listings.e820log import e820_tables
from harness.evidence.listings.efilog import efi_maps
from harness.evidence.listings.entries import LogMap, MapKind, MapLog, Remark
from harness.evidence.listings.iomemlog import iomem_listings

_Found = tuple[tuple[LogMap, ...], tuple[Remark, ...]]
_READERS: tuple[tuple[MapKind, Callable[[Sequence[Line]], _Found]], ...] = (
    (MapKind.EFI, efi_maps),
    (MapKind.E820, e820_tables),
    (MapKind.IOMEM, iomem_listings),
)
_SOFT_BREAK = 60
"""A line with a = at its end, and at least so long, goes on in the next one; mailers cut at 76."""


def read(log: bytes) -> MapLog:
    """The EFI maps, e820 tables and /proc/iomem listings of a console log, a mail or a file.

    Nothing is wrong with a log that has none.
    """
    lines = klog.lines(log)
    numbers, plain = _mailed(log)
    stripped = [Line(numbers[item.number - 1], 0, None, item.text) for item in logform.strip(plain)]
    joined = len(stripped) <= log.count(b"\n")
    maps: list[LogMap] = []
    damaged: list[tuple[MapKind, Remark]] = []
    for kind, reader in _READERS:
        found = reader(lines)
        if not found[0] or found[1] or joined:
            # Entries say themselves what they are, whatever stands before them; but for some, and those that are cut.
            found = max(found, reader(stripped), key=_worth)
        maps += found[0]
        damaged += [(kind, remark) for remark in found[1]]
    return MapLog(tuple(maps), tuple(damaged))


def _mailed(log: bytes) -> tuple[list[int], list[str]]:
    """The lines with their numbers, as they were before a mail was made of them (quoted-printable, RFC 2045, 6.7)."""
    encoded = b"=3D" in log
    numbers: list[int] = []
    texts: list[str] = []
    held: list[bytes] = []
    for number, raw in enumerate(log.split(b"\n"), 1):
        line = raw.rstrip(b"\r")
        if not held:
            numbers.append(number)
        if len(line) >= _SOFT_BREAK and line.endswith(b"="):
            held.append(line[:-1])
            continue
        whole = b"".join((*held, line))
        texts.append(klog.plain_text(quopri.decodestring(whole) if encoded else whole))
        held = []
    if held:
        texts.append(klog.plain_text(b"".join(held)))
    return numbers, texts


def _worth(found: _Found) -> int:
    """Of two readings the one with more in whole maps counts; the first, when they have the same."""
    return sum(item.size for item in found[0])
