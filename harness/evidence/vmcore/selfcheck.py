"""The dump's notes against the memory they were copied from, both in the same dump.

The capture kernel takes VMCOREINFO and the CPUs' registers from the crashed kernel's memory (/proc/vmcore's notes), so
that a dump which holds this memory says both twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.evidence.code.symbols import SymbolTable
from harness.evidence.defect import Defect
from harness.evidence.ranges import PAGE_BYTES
from harness.evidence.vmcore.dump import Dump
from harness.evidence.vmcore.notes import Note, parse_notes

_NOTE_BYTES = 4096
_CPU_NOTE_BYTES = 400
"""A CPU's note has 356 bytes and the empty one that ends it 12."""


@dataclass(frozen=True)
class SelfCheck:
    """``compared`` notes were found in memory; ``doubts`` tells of those that differ, ``absent`` of those not there."""

    compared: int
    doubts: tuple[str, ...]
    absent: tuple[str, ...]


def check_notes(dump: Dump, symbols: SymbolTable) -> SelfCheck:
    """Compare each note of the dump with its original in memory.

    Args:
        symbols: of the crashed kernel, variables included, at its run-time addresses.
    """
    doubts: list[str] = []
    absent: list[str] = []
    compared = 0
    for name, expected, found in _pairs(dump, symbols):
        if isinstance(found, Defect):
            absent.append(f"{name}: {found.text}")
            continue
        compared += 1
        if found != expected:
            doubts.append(f"{name}: the note differs from the crashed kernel's memory")
    return SelfCheck(compared, tuple(doubts), tuple(absent))


def _pairs(dump: Dump, symbols: SymbolTable) -> Iterator[tuple[str, Note, Note | Defect]]:
    """The name of a note for people, the note, and what memory has at its place."""
    cpus = [note for note in dump.raw_notes if note.name == "CORE"]
    for number, note in enumerate(cpus):
        yield f"the registers of CPU {number}", note, _cpu_note(dump, symbols, number)
    for note in dump.raw_notes:
        if note.name == "VMCOREINFO":
            yield "VMCOREINFO", note, _first(dump, _pointer(dump, symbols, "vmcoreinfo_note"), _NOTE_BYTES)


def _cpu_note(dump: Dump, symbols: SymbolTable, number: int) -> Note | Defect:
    """``per_cpu_ptr(crash_notes, number)``."""
    notes = _pointer(dump, symbols, "crash_notes")
    if isinstance(notes, Defect):
        return notes
    offset = _pointer(dump, symbols, "__per_cpu_offset", number)
    return offset if isinstance(offset, Defect) else _first(dump, (notes + offset) % 2**64, _CPU_NOTE_BYTES)


def _pointer(dump: Dump, symbols: SymbolTable, name: str, index: int = 0) -> int | Defect:
    address = symbols.address(name)
    if address is None:
        return Defect(f"there is no symbol {name}")
    data = dump.read_virtual(address + 8 * index, 8)
    return data if isinstance(data, Defect) else int.from_bytes(data, "little")


def _first(dump: Dump, address: int | Defect, size: int) -> Note | Defect:
    """The note at an address; the memory behind it may be anything."""
    if isinstance(address, Defect):
        return address
    size = min(size, PAGE_BYTES - address % PAGE_BYTES)  # none of them crosses a page (crash_notes_memory_init())
    data = dump.read_virtual(address, size)
    if isinstance(data, Defect):
        return data
    found = parse_notes(data, limit=1)
    if isinstance(found, Defect) or not found:
        return Note("", 0, data)
    return found[0]
