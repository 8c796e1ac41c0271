"""VMCOREINFO: what a kernel tells about itself to whoever reads its memory without debug info.

The text and its keys: Documentation/admin-guide/kdump/vmcoreinfo.rst. A kernel keeps it in an ELF note named
``VMCOREINFO`` (kernel/crash_core.c), which a vmcore holds and which can be searched for in a live guest's memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from harness.evidence.defect import Defect
from harness.evidence.ranges import PAGE_BYTES

NOTE_NAME = "VMCOREINFO"
MAX_BYTES = 64 * 1024
"""The kernel's limit is one page (VMCOREINFO_BYTES)."""
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?:\([^()=]*\))?")


@dataclass(frozen=True)
class VmcoreInfo:
    """The keys and values, as text, and the usual ones decoded. Numbers are None when the kernel does not give them."""

    values: Mapping[str, str] = field(hash=False)

    @property
    def release(self) -> str:
        """``uname -r``."""
        return self.values["OSRELEASE"]

    @property
    def build_id(self) -> str | None:
        """The kernel's GNU build id in hexadecimal; since 5.14 (0935288c6e008c, "Allow vmcoreinfo to contain")."""
        return self.values.get("BUILD-ID")

    @property
    def kernel_offset(self) -> int:
        """How far KASLR moved the kernel's virtual addresses from those in its System.map; 0 without KASLR."""
        return _integer(self.values.get("KERNELOFFSET", "0"), 16) or 0

    @property
    def phys_base(self) -> int | None:
        """Physical address minus offset into the kernel's text mapping; may be negative. x86 only."""
        return self.number("phys_base")

    @property
    def page_bytes(self) -> int:
        return _integer(self.values.get("PAGESIZE"), 10) or PAGE_BYTES

    def symbol(self, name: str) -> int | None:
        """A symbol's virtual address, KASLR included."""
        return _integer(self.values.get(f"SYMBOL({name})"), 16)

    def size(self, name: str) -> int | None:
        """A type's size in bytes."""
        return _integer(self.values.get(f"SIZE({name})"), 10)

    def offset(self, name: str) -> int | None:
        """Where a member lies in its structure, in bytes; ``name`` is ``struct.member``."""
        return _integer(self.values.get(f"OFFSET({name})"), 10)

    def length(self, name: str) -> int | None:
        """The number of an array's elements."""
        return _integer(self.values.get(f"LENGTH({name})"), 10)

    def number(self, name: str) -> int | None:
        """A constant or the value of a variable; it may be negative."""
        return _integer(self.values.get(f"NUMBER({name})"), 10)


def parse(text: bytes | str) -> VmcoreInfo | Defect:
    """Decode the note's contents: ``KEY=VALUE`` lines; NUL bytes at the end are padding.

    A key that comes twice keeps its last value: crash_save_vmcoreinfo() appends CRASHTIME, and a kernel that crashed
    in its own crash handler may append it again.
    """
    if isinstance(text, bytes):
        text = text[: MAX_BYTES + 1].rstrip(b"\0").decode("latin-1")
    if len(text) > MAX_BYTES:
        return Defect(f"VMCOREINFO is longer than {MAX_BYTES} bytes")
    values: dict[str, str] = {}
    for line in text.split("\n"):
        if not line:
            continue
        key, equals, value = line.partition("=")
        if not equals or _KEY.fullmatch(key) is None or not value.isprintable():
            return Defect(f"VMCOREINFO has a line of another form: {line[:80]!r}")
        number = key.partition("(")[0]
        base = 16 if number in ("SYMBOL", "KERNELOFFSET") else 10
        is_number = number in ("SIZE", "OFFSET", "LENGTH", "NUMBER", "SYMBOL", "KERNELOFFSET", "PAGESIZE", "CRASHTIME")
        if is_number and _integer(value, base) is None:
            return Defect(f"VMCOREINFO has a bad number: {line[:80]!r}")
        values[key] = value
    if not values.get("OSRELEASE"):
        return Defect("VMCOREINFO has no OSRELEASE")
    return VmcoreInfo(MappingProxyType(values))


def _integer(text: str | None, base: int) -> int | None:
    """The kernel prints some NUMBERs as ``0x...``; more than 64 bits are no number of a kernel's."""
    if text is None:
        return None
    match = re.fullmatch(r"(-?)(?:(0x)([0-9a-fA-F]{1,16})|([0-9a-fA-F]{1,20}))", text)
    if match is None:
        return None
    try:
        value = int(match[3], 16) if match[2] else int(match[4], base)
    except ValueError:
        return None
    return None if value >= 2**64 else -value if match[1] else value
