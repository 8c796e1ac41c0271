"""The memory map of another machine, scaled into a guest of another size; with an account of what cannot be had."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.evidence.listings.entries import LogEntry, OddEntry
from harness.evidence.listings.mapjoin import Piece, joined, told
from harness.evidence.listings.mappages import whole_pages
from harness.evidence.maps.efimap import CONVENTIONAL, RESERVED, RUNTIME, type_name
from harness.evidence.ranges import Range
from harness.model.words.memorymap import MAX_RANGES, LostEntry, MapEntry, MapFile, RangeType, ram

FIRMWARE_ROOM_BYTES = 80 * 2**20
"""What OVMF has for itself below the top of the low RAM: 70 MiB at 2 GiB (2022.11). An imported map ends below it."""
_FOUR_GIB = 2**32
_LEGACY = Range(0xA0000, 0x100000)
_USUAL = 0xF
"""UC, WC, WT and WB: what EDK2 says of RAM."""
_MMIO, _MMIO_PORT = 11, 12
_WRITE_BACK = 1 << 3
_ADDRESSABLE = 2**52
"""What the processor has of physical address bits at most; a map file names no address behind it."""


@dataclass(frozen=True)
class _Squeeze:
    """``cut`` is taken out of the address space, what lies above it moves down."""

    cut: Range
    reason: str

    @property
    def shift(self) -> int:
        return self.cut.size_bytes


def scale(entries: Sequence[LogEntry], memory_bytes: int, source: str = "", odd: Sequence[OddEntry] = ()) -> MapFile:
    """A map for a guest with so much memory.

    Addresses stay as they are as far as the guest has memory there. Where it has less, one piece is taken out: it ends
    with the largest free range below 4 GiB, so that what firmware keeps at the top of its memory comes along. It ends
    below the memory that OVMF itself has at the top. Above 4 GiB everything is as it was, or lost.

    Of more than MAX_RANGES entries some are joined (mapjoin.joined()), which their notes tell.

    Args:
        odd: entries that describe no memory; they are lost, each with its reason.
    """
    entries, dropped = whole_pages(entries)
    low_end = ram(memory_bytes)[0][1] - FIRMWARE_ROOM_BYTES
    squeeze = _squeeze(entries, low_end)
    placed: list[Piece] = []
    lost = [_odd(item) for item in odd]
    lost += [_lost(entry, entry.region.range, "no whole page of it is left by its neighbours") for entry in dropped]
    for entry in entries:
        why = _not_memory(entry)
        if why:
            lost.append(_lost(entry, entry.region.range, why))
            continue
        pieces = list(_pieces(entry.region.range, squeeze, memory_bytes))
        placed += [_placed(entry, piece, now) for piece, now, _ in pieces if now is not None]
        lost += [_lost(entry, piece, reason) for piece, now, reason in pieces if now is None]
    kept, left_out = joined(placed, MAX_RANGES)
    lost += [_left_out(piece) for piece in left_out]
    return MapFile.model_construct(
        source=source,
        memory=memory_bytes,
        entries=[_entry(piece) for piece in kept],
        lost=sorted(lost, key=lambda item: item.at),
    )


def _entry(piece: Piece) -> MapEntry:
    return MapEntry(at=piece.at, size=piece.size, type=piece.type, note=told(piece) if piece.mixed else piece.note)


def _left_out(piece: Piece) -> LostEntry:
    why = (
        f"{told(piece) if piece.mixed else piece.note}: left out, for the EFI agent takes {MAX_RANGES} entries at most"
    )
    return LostEntry(at=piece.at, size=piece.size, type=piece.type.value, why=why)


def _squeeze(entries: Sequence[LogEntry], low_end: int) -> _Squeeze:
    low = [item.region for item in entries if item.region.range.end <= _FOUR_GIB and not _not_memory(item)]
    top = max((region.range.end for region in low), default=0)
    excess = top - low_end
    if excess <= 0:
        return _Squeeze(Range(low_end, low_end), "")
    free = [region.range for region in low if region.type == CONVENTIONAL]
    end = max(free, key=lambda item: item.size_bytes).end if free else top
    if end - excess < _LEGACY.end:
        end = top  # nothing below is large enough: the top is cut off
    return _Squeeze(Range(end - excess, end), f"the guest has {excess:#x} bytes less memory below 4 GiB")


def _not_memory(entry: LogEntry) -> str:
    """Why an entry cannot be RAM of this guest wherever it lies; empty when it can."""
    region = entry.region
    if region.range.overlaps(_LEGACY):
        return "no memory of a PC is listed from 0xa0000 to 0xfffff"
    if not RangeType.has(region.type):
        return f"{region.type_name} cannot be made"
    if region.type in (_MMIO, _MMIO_PORT) or (region.type == RESERVED and not region.attributes & _WRITE_BACK):
        return "not RAM but devices of that machine"
    if region.range.start < _FOUR_GIB < region.range.end:
        return "it crosses 4 GiB, where no PC has RAM in one piece"
    return ""


def _pieces(where: Range, squeeze: _Squeeze, memory_bytes: int) -> Iterator[tuple[Range, int | None, str]]:
    """The pieces of a range: what it was, where it begins now (None: nowhere), and why not."""
    if where.start >= _FOUR_GIB:
        high = Range(*ram(memory_bytes)[1]) if len(ram(memory_bytes)) > 1 else Range(_FOUR_GIB, _FOUR_GIB)
        inside = where.intersection(high)
        if inside is not None:
            yield inside, inside.start, ""
        outside = Range(inside.end if inside is not None else where.start, where.end)
        if outside.size_bytes:
            yield outside, None, "the guest has no memory there above 4 GiB"
        return
    cut = squeeze.cut
    for zone, shift in ((Range(0, cut.start), 0), (Range(cut.end, max(cut.end, _FOUR_GIB)), squeeze.shift)):
        inside = where.intersection(zone)
        if inside is not None:
            yield inside, inside.start - shift, ""
    gone = where.intersection(cut)
    if gone is not None:
        yield gone, None, squeeze.reason


def _placed(entry: LogEntry, piece: Range, start: int) -> Piece:
    # The name ends at the first comma; what follows was changed.
    said = [f"mem{entry.number:02} {entry.words}".rstrip()]
    if start != piece.start:
        said.append(f"was at {piece.start:#x}")
    if piece != entry.region.range:
        said.append(f"{piece.size_bytes:#x} of {entry.region.range.size_bytes:#x} bytes")
    if not entry.words and not entry.attributes_known:
        said[0] += " (attributes unknown)"
    elif not entry.words and entry.region.attributes & ~RUNTIME != _USUAL:
        said.append(f"attributes were {entry.region.attributes:#x}")
    kind = RangeType.of(entry.region.type)
    return Piece(start, piece.size_bytes, kind, (entry.number,), ", ".join(said), was_at=piece.start)


def _lost(entry: LogEntry, piece: Range, why: str) -> LostEntry:
    return _loss(entry.number, piece.start, piece.size_bytes, entry.region.type, why)


def _odd(entry: OddEntry) -> LostEntry:
    return _loss(entry.number, entry.start, 0, entry.type, entry.why)


def _loss(number: int, start: int, size: int, kind: int, why: str) -> LostEntry:
    name = RangeType.of(kind).value if RangeType.has(kind) else type_name(kind)
    if start >= _ADDRESSABLE:
        why, start = f"{why}; it begins at {start:#x}, which no processor can address", _ADDRESSABLE - 4096
    return LostEntry(at=start, size=size, type=name, why=f"mem{number:02}: {why}")


def to_yaml(found: MapFile) -> str:
    """The text of a map file (docs/memory-maps.md)."""
    whole = sum(item.size for item in found.entries)
    joins = joined_count(found)
    head = [
        "# A memory map for firmware.memory.map of a scenario (docs/memory-maps.md), made by `harness memmap import`.",
        f"# {len(found.entries)} entries of {whole // 2**20} MiB can be asked for; {len(found.lost)} are lost. What",
        "# the firmware of a run has given of them is told in its verdict.",
        *(
            [f"# {joins} of them are joined from several, since the EFI agent takes at most {MAX_RANGES}."]
            if joins
            else []
        ),
        f"source: {json.dumps(found.source)}",
        *([f"memory: {found.memory // 2**20}MiB"] if found.memory is not None else []),
        "entries:",
    ]
    rows = [
        f"  - {{at: {item.at:#x}, size: {item.size:#x}, type: {item.type}, note: {json.dumps(item.note)}}}"
        for item in found.entries
    ]
    lost = [
        f"  - {{at: {item.at:#x}, size: {item.size:#x}, type: {json.dumps(item.type)}, why: {json.dumps(item.why)}}}"
        for item in found.lost
    ]
    return "\n".join([*head, *rows, *(["lost:", *lost] if lost else [])]) + "\n"


def joined_count(found: MapFile) -> int:
    """How many of its entries are made of several."""
    return sum(" joined" in item.note for item in found.entries)
