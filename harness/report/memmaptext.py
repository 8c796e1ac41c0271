"""Memory maps as text and as rows for JSON. No effects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.evidence.listings.entries import LogEntry
from harness.report.memmap import Column, short_name


def size_text(size_bytes: int) -> str:
    """A size in the largest unit that leaves at least 1, with one decimal where it is needed."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size_bytes // 1024} KiB" if size_bytes >= 1024 else f"{size_bytes} bytes"


def to_text(columns: Sequence[Column], *, single: bool = False) -> str:
    """Every map, a line a block. Where a map is a later state of one above, ``+`` is new in it and ``-`` was before.

    Args:
        single: a line an entry instead, with its attributes, in the order printed, where a map has entries.
    """
    lines: list[str] = []
    for column in columns:
        if single and column.entries:
            count = f"{len(column.entries)} entr{'y' if len(column.entries) == 1 else 'ies'}"
            lines += [f"{column.title}, {count}  ({column.where})", *_entries_text(column, columns)]
        else:
            lines += [f"{column.title}  ({column.where})", *_column_text(column, columns)]
        lines += [*(f" ! {remark}" for remark in column.remarks), ""]
    return "\n".join(lines)


def _entries_text(column: Column, columns: Sequence[Column]) -> Iterator[str]:
    before = columns[column.before].entries if column.before is not None else column.entries
    earlier, now = {_said(entry) for entry in before}, {_said(entry) for entry in column.entries}
    names = max(len(_name(entry)) for entry in column.entries)
    for entry in column.entries:
        yield _entry_text("+" if _said(entry) not in earlier else " ", entry, names)
    for entry in before:
        if _said(entry) not in now:
            yield _entry_text("-", entry, names)


def _said(entry: LogEntry) -> tuple[object, ...]:
    return entry.region, entry.words, entry.depth


def _name(entry: LogEntry) -> str:
    return "  " * entry.depth + (entry.words or short_name(entry.region))


def _entry_text(sign: str, entry: LogEntry, width: int) -> str:
    region = entry.region
    where = f"{region.range.start:#014x}-{region.range.last:#014x}  {size_text(region.range.size_bytes):>10}"
    attributes = " ".join(region.attribute_names) or "none" if entry.attributes_known else ""
    text = f" {sign} mem{entry.number:02}  {where}  {_name(entry):{width}}  {attributes}"
    return text.rstrip()


def _column_text(column: Column, columns: Sequence[Column]) -> Iterator[str]:
    before = columns[column.before].blocks if column.before is not None else column.blocks
    earlier, now = set(before), set(column.blocks)
    gone = [("-", block, 0) for block in before if block not in now]
    there = [("+" if block not in earlier else " ", block, 0) for block in column.blocks]
    marks = [(" ", block, 1) for block in column.marks]
    for sign, block, depth in sorted((*gone, *there, *marks), key=lambda item: (item[1].range.start, item[2])):
        where = f"{block.range.start:#014x}-{block.range.last:#014x}"
        shift = "  > " if depth else ""
        yield f" {sign} {where}  {size_text(block.range.size_bytes):>10}  {shift}{block.label}"


def to_rows(columns: Sequence[Column]) -> list[dict[str, object]]:
    """The same for JSON."""
    return [column.row() for column in columns]
