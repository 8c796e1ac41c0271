"""A parsed file: its values, and where each of them stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import Mistake

DocPath = tuple[str | int, ...]
"""Keys and list indexes from the top of a document: ``("steps", 1, "kexec")``."""


@dataclass(frozen=True)
class Spot:
    """Where a value stands. Lines and columns count from 1."""

    line: int
    column: int
    key_line: int
    """The place of its key; that of the value for list items and the top level."""
    key_column: int
    text: str | None = None
    """A scalar as it was written, without quotes; None for mappings and lists."""


@dataclass(frozen=True)
class Document:
    """A parsed file. ``mistakes`` are those after which reading could go on; it is the caller's duty to report them."""

    file: str
    tree: Any
    spots: Mapping[DocPath, Spot]
    mistakes: tuple[Mistake, ...] = ()

    @property
    def written(self) -> Mapping[DocPath, str]:
        """Every scalar as it stands in the file, without quotes."""
        return {path: spot.text for path, spot in self.spots.items() if spot.text is not None}

    def mistake(self, path: DocPath, message: str, *, at_key: bool = False, shown: DocPath | None = None) -> Mistake:
        """A mistake at ``path``, or at its nearest ancestor in the file; ``shown`` is the path that is printed."""
        known = path
        while known not in self.spots:
            known = known[:-1]
        spot = self.spots[known]
        line, column = (spot.key_line, spot.key_column) if at_key and known == path else (spot.line, spot.column)
        return mistake_at(self.file, line, column, dotted(path if shown is None else shown), message)


def dotted(path: DocPath) -> str:
    """``steps[1].kexec.syscall`` for ``("steps", 1, "kexec", "syscall")``; the empty path is the empty string."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def mistake_at(file: str, line: int, column: int, path: str, message: str) -> Mistake:
    """A mistake whose texts are one printable line each, whatever of the file they quote."""
    return Mistake(file, line, column, one_line(path), one_line(message))


def one_line(text: str) -> str:
    """The text with line breaks, control characters and the like as escapes."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
