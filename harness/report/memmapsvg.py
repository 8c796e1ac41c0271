"""A memory map as a drawing (SVG 1.1): one column a map, the same compressed scale for all. No effects.

The addresses at which anything begins or ends cut the address space into intervals. Each is drawn at least as high as a
line of text and grows with the logarithm of its size, so that 4 KiB and 2 GiB can both be seen and no two labels meet.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from harness.evidence.ranges import PAGE_BYTES, merged
from harness.report.memmap import Block, Column, Kind
from harness.report.memmaptext import size_text

_COLOURS = {
    Kind.FREE: "#d7f0d2",
    Kind.LOADER: "#cfe3f7",
    Kind.BOOT: "#fbf0c4",
    Kind.RUNTIME: "#f6c9a3",
    Kind.ACPI: "#e1d3f0",
    Kind.RESERVED: "#d5d5d5",
    Kind.DEVICE: "#e9e2d8",
    Kind.UNUSABLE: "#f1a7a7",
    Kind.OTHER: "#cdeeee",
    Kind.KERNEL: "#3a6fb0",
    Kind.INITRD: "#7b52ab",
    Kind.TABLE: "#b03a78",
    Kind.CANARY: "#c0392b",
    Kind.CRASH: "#b9770e",
    Kind.NEXT: "#4f7f7a",
}
_MARKS = (Kind.KERNEL, Kind.INITRD, Kind.TABLE, Kind.CANARY, Kind.CRASH, Kind.NEXT)
_LINE = 14
"""Height of the smallest interval; the text is 10 px high."""
_CHAR = 6.05
"""Width of a character of a 10 px monospaced font."""
_AXIS = 108
_GAP = 26
_PAD = 4
_HEAD = 94
_NOTE = "Heights are compressed: they grow with the logarithm of the size. Addresses are guest-physical."
_FOOT = 14


@dataclass(frozen=True)
class _Scale:
    """Address to height."""

    borders: tuple[int, ...]
    heights: tuple[float, ...]

    def y(self, address: int) -> float:
        return self.heights[bisect_left(self.borders, address)]


@dataclass(frozen=True)
class _Lane:
    """A column of boxes that do not overlap."""

    x: float
    width: float
    blocks: tuple[Block, ...]
    marks: bool


@dataclass(frozen=True)
class _Place:
    """A map's lanes, and how wide they are together."""

    column: Column
    x: float
    width: float
    lanes: tuple[_Lane, ...]


def to_svg(columns: Sequence[Column], title: str) -> str:
    """The drawing. ``title`` stands above it."""
    scale = _scale(columns)
    places = tuple(_places(columns))
    used = {block.kind for column in columns for block in (*column.blocks, *column.marks)}
    width = max(places[-1].x + places[-1].width + _GAP, _legend_width(used), len(title) * 7.6 + 2 * _GAP)
    height = _HEAD + (scale.heights[-1] if scale.heights else 0) + _FOOT
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" '
        'font-size="10">',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        _text(_PAD, 52, _NOTE, colour="#777777"),
        _text(_PAD, 16, title, size=13, bold=True),
        *_legend(used),
        *_axis(scale, width),
    ]
    for place in places:
        body += _column(place, scale)
    return "\n".join([*body, "</svg>"]) + "\n"


def _scale(columns: Sequence[Column]) -> _Scale:
    borders = sorted({at for column in columns for item in (*column.blocks, *column.marks) for at in _ends(item)})
    heights = [0.0]
    listed_ranges = iter(merged(item.range for column in columns for item in column.blocks))
    current = next(listed_ranges, None)
    for start, end in pairwise(borders):
        pages = max(1.0, (end - start) / PAGE_BYTES)
        while current is not None and current.end <= start:
            current = next(listed_ranges, None)
        # What no map lists is only a gap.
        listed = current is not None and current.start < end
        heights.append(heights[-1] + _LINE + (2.2 * math.log2(pages) if listed else 0))
    return _Scale(tuple(borders), tuple(heights))


def _ends(block: Block) -> tuple[int, int]:
    return block.range.start, block.range.end


def _places(columns: Sequence[Column]) -> Iterator[_Place]:
    x = float(_AXIS)
    for column in columns:
        lanes = [_lane(x, column.blocks, marks=False)]
        for blocks in _apart(column.marks):
            lanes.append(_lane(lanes[-1].x + lanes[-1].width, blocks, marks=True))
        end = lanes[-1].x + lanes[-1].width
        width = max(end - x, _width(column.title) + 2 * _PAD)
        yield _Place(column, x, width, tuple(lanes))
        x += width + _GAP


def _lane(x: float, blocks: Sequence[Block], *, marks: bool) -> _Lane:
    widest = max((_width(_label(block)) for block in blocks), default=0.0)
    return _Lane(x, widest + 2 * _PAD, tuple(blocks), marks)


def _apart(marks: Sequence[Block]) -> list[list[Block]]:
    """Lanes of marks; those that overlap come into different ones."""
    lanes: list[list[Block]] = []
    for mark in sorted(marks, key=lambda item: item.range):
        free = next((lane for lane in lanes if lane[-1].range.end <= mark.range.start), None)
        if free is None:
            lanes.append([mark])
        else:
            free.append(mark)
    return lanes


def _label(block: Block) -> str:
    return f"{block.label}  {size_text(block.range.size_bytes)}"


def _width(text: str) -> float:
    return len(text) * _CHAR


def _axis(scale: _Scale, width: float) -> Iterator[str]:
    """Every address at which something begins or ends, with a fine line across."""
    for address in scale.borders:
        y = _HEAD + scale.y(address)
        yield f'<line x1="{_AXIS - 6}" y1="{y:.1f}" x2="{width - _PAD:.1f}" y2="{y:.1f}" stroke="#eeeeee"/>'
        yield _text(_PAD, y + 3.5, f"{address:#014x}", colour="#555555")


def _column(place: _Place, scale: _Scale) -> Iterator[str]:
    yield _text(place.x, _HEAD - 22, place.column.title, bold=True)
    yield _text(place.x, _HEAD - 10, place.column.where, colour="#777777")
    for lane in place.lanes:
        for block in lane.blocks:
            yield from _box(block, lane, scale)


def _box(block: Block, lane: _Lane, scale: _Scale) -> Iterator[str]:
    top, bottom = _HEAD + scale.y(block.range.start), _HEAD + scale.y(block.range.end)
    last, corners = block.range.last, ' rx="3"' if lane.marks else ""
    yield (
        f'<rect x="{lane.x + (2 if lane.marks else 0):.1f}" y="{top:.1f}" '
        f'width="{lane.width - (4 if lane.marks else 0):.1f}" height="{bottom - top:.1f}" '
        f'fill="{_COLOURS[block.kind]}" stroke="#8a8a8a" stroke-width="0.5"{corners}>'
        f"<title>{escape(block.label)} {block.range.start:#x}-{last:#x}</title></rect>"
    )
    # A high box has its words in the middle.
    y = (top + bottom) / 2 + 3.5
    yield _text(lane.x + _PAD, y, _label(block), colour="#ffffff" if lane.marks else "#222222")


def _legend(used: set[Kind]) -> Iterator[str]:
    x = float(_PAD)
    for kind in Kind:
        if kind in used:
            shape = ' rx="3"' if kind in _MARKS else ""
            yield f'<rect x="{x:.1f}" y="26" width="12" height="12"{shape} fill="{_COLOURS[kind]}" stroke="#8a8a8a"/>'
            yield _text(x + 16, 36, kind.value)
            x += 16 + _width(kind.value) + 14


def _legend_width(used: set[Kind]) -> float:
    return _PAD + sum(30 + _width(kind.value) for kind in used) + _PAD


def _text(x: float, y: float, words: str, *, size: int = 0, bold: bool = False, colour: str = "#222222") -> str:
    extra = (f' font-size="{size}"' if size else "") + (' font-weight="bold"' if bold else "")
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}"{extra} xml:space="preserve">{escape(words)}</text>'
