"""What one running kernel shows of the firmware's tables: facts of its guest, and its log."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.evidence import klog
from harness.evidence.ranges import Range

DROPPED = 2**64 - 1
"""What the kernel prints as the address of a table that it has put aside (EFI_INVALID_TABLE_ADDR)."""


@dataclass(frozen=True)
class Shown:
    """One epoch, and the table as firmware handed it over."""

    epoch: int
    release: str
    """``uname -r``."""
    content: bytes
    table: Range
    fact: Callable[[str], bytes | None]
    """A fact of the epoch's guest by name; None when it was not reported."""
    lines: Sequence[klog.Line]
    """The epoch's console."""
    kernel_name: str
    """The table's name in the kernel's ``efi:`` line."""

    def text(self, name: str) -> str:
        """A fact as text; empty when it was not reported."""
        return (self.fact(name) or b"").decode("utf-8", "backslashreplace")

    def values(self, name: str) -> dict[str, str]:
        """A fact of ``name=value`` lines."""
        pairs = (line.partition("=") for line in self.text(name).splitlines())
        return {key.strip(): value.strip() for key, equals, value in pairs if equals}

    def line(self, pattern: str) -> klog.Line | None:
        """The first console line in which the pattern is found."""
        return next((line for line in self.lines if re.search(pattern, line.text)), None)


def listed(shown: Shown) -> tuple[str, ...]:
    """Does the ``efi:`` line list a table at the address where firmware handed it over? What is wrong, if not.

    A kernel without that line accuses nobody: it has no console, or was told to be quiet.
    """
    tables = klog.config_tables(shown.lines)
    if not tables:
        return ()
    address = tables[0].get(shown.kernel_name)
    if address is None:
        return (f"the kernel's efi: line lists no {shown.kernel_name}",)
    if address != shown.table.start:
        said = f"{shown.kernel_name}={address:#x}"
        return (f"the kernel's efi: line has {said}, at the hand-off it was at {shown.table.start:#x}",)
    return ()
