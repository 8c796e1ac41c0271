"""What is sampled at every border, and what is not."""

from __future__ import annotations

from dataclasses import dataclass

from harness.evidence.ranges import Range
from harness.model.words.tables import TableName


@dataclass(frozen=True)
class Watch:
    """Memory to sample at every border: whole pages for a table with canaries, else the table's own bytes."""

    name: TableName
    pages: Range
    table: Range


@dataclass(frozen=True)
class Unwatched:
    """Why a table that should be sampled is not."""

    name: TableName
    reason: str
