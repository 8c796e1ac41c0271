"""The ELF notes of a vmcore: the registers of each CPU, and VMCOREINFO."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from harness.evidence.defect import Defect
from harness.evidence.vmcoreinfo import NOTE_NAME, VmcoreInfo, parse

MAX_NOTES_BYTES = 16 << 20
_HEADER = struct.Struct("<III")
_NT_PRSTATUS = 1
_PRSTATUS_BYTES = 336
_PID_AT, _REGISTERS_AT = 32, 112
_REGISTERS = (
    *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"),
    *("orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"),
)


@dataclass(frozen=True)
class Note:
    name: str
    type: int
    data: bytes


@dataclass(frozen=True)
class Cpu:
    """What a CPU was doing when it stopped (``struct elf_prstatus`` of x86-64)."""

    number: int
    """The note's place. The kernel has a note for each CPU that was present; one that was offline leaves none."""
    pid: int
    """The task that ran; 0 is the idle task."""
    registers: Mapping[str, int] = field(hash=False)
    """All 27 of ``struct user_regs_struct``, by their names there; ``eflags`` holds rflags."""


def parse_notes(data: bytes, limit: int | None = None) -> tuple[Note, ...] | Defect:
    """The notes in order, or the first ``limit`` of them. Names and contents are padded to 4 bytes each."""
    found: list[Note] = []
    at = 0
    while len(data) - at >= _HEADER.size and len(found) != limit:
        name_bytes, data_bytes, kind = _HEADER.unpack_from(data, at)
        if name_bytes == 0:  # the kernel leaves room behind the last note, all zero (final_note())
            if data[at:].strip(b"\0"):
                return Defect(f"there is something behind the last note, {len(found)}")
            break
        name_at = at + _HEADER.size
        data_at = name_at + -(-name_bytes // 4) * 4
        end = data_at + data_bytes
        if end > len(data):
            return Defect(f"note {len(found)} ends {end - len(data)} bytes behind the notes")
        name = data[name_at : name_at + name_bytes].rstrip(b"\0").decode("latin-1")
        found.append(Note(name, kind, data[data_at:end]))
        at = data_at + -(-data_bytes // 4) * 4
    return tuple(found)


def cpus(notes: tuple[Note, ...]) -> tuple[Cpu, ...]:
    """The CPUs that left their registers, in the order of their notes."""
    return tuple(
        Cpu(number, *_prstatus(note.data))
        for number, note in enumerate(
            note
            for note in notes
            if note.name == "CORE" and note.type == _NT_PRSTATUS and len(note.data) >= _PRSTATUS_BYTES
        )
    )


def _prstatus(data: bytes) -> tuple[int, Mapping[str, int]]:
    (pid,) = struct.unpack_from("<i", data, _PID_AT)
    values = struct.unpack_from(f"<{len(_REGISTERS)}Q", data, _REGISTERS_AT)
    return pid, MappingProxyType(dict(zip(_REGISTERS, values, strict=True)))


def vmcoreinfo(notes: tuple[Note, ...]) -> VmcoreInfo | Defect:
    """The VMCOREINFO note, decoded."""
    for text in _vmcoreinfo_texts(notes):
        return parse(text)
    return Defect("the dump has no VMCOREINFO note")


def _vmcoreinfo_texts(notes: tuple[Note, ...]) -> Iterator[bytes]:
    return (note.data for note in notes if note.name == NOTE_NAME)
