"""A dump of a crashed guest's memory, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Protocol

from harness.evidence import printk
from harness.evidence.defect import Defect
from harness.evidence.ranges import PAGE_BYTES, Range
from harness.evidence.vmcore import diskdump, elf, flat
from harness.evidence.vmcore.memory import KernelMemory
from harness.evidence.vmcore.notes import Cpu, Note, cpus, parse_notes, vmcoreinfo
from harness.evidence.vmcore.source import Fault, FileDefect, Source, damaged, unsupported
from harness.evidence.vmcoreinfo import VmcoreInfo, parse

_MAX_READ_BYTES = 64 << 20
_MAX_DEFECTS = 32
_ZERO_PAGE = bytes(PAGE_BYTES)


class Kind(StrEnum):
    """The format, flattened or not."""

    ELF = "elf"
    KDUMP_COMPRESSED = "kdump-compressed"


class Pages(Protocol):
    """What each format gives."""

    notes: bytes
    vmcoreinfo_text: bytes | None
    defects: tuple[FileDefect, ...]
    end_bytes: int

    @property
    def ranges(self) -> tuple[Range, ...]: ...
    def has(self, pfn: int) -> bool: ...
    def held(self) -> Iterator[Range]: ...
    def page(self, pfn: int) -> bytes | FileDefect | None: ...
    def read(self, address: int, size: int) -> bytes | None: ...


class Dump:
    """An opened dump. It reads what it is asked for, and keeps the index and a few pages.

    All addresses are guest-physical unless they are called virtual. Pages that the dump's filter left out, or that
    its kernel did not have, are not there; that is no defect.
    """

    def __init__(self, kind: Kind, pages: Pages, flattened: flat.Flattened | None) -> None:
        self.kind = kind
        self.flattened = flattened is not None
        self.pages = pages
        """What the format gives; for tools that note which pages are read."""
        notes = parse_notes(pages.notes)
        found = list(flattened.defects if flattened else ()) + list(pages.defects)
        if isinstance(notes, Defect):
            found.append(damaged(0, notes.text))
            notes = ()
        self.raw_notes: tuple[Note, ...] = notes
        self.notes: tuple[Cpu, ...] = cpus(notes)
        """The registers of each CPU."""
        self.vmcoreinfo: VmcoreInfo | Defect = _vmcoreinfo(pages.vmcoreinfo_text, notes)
        found += _contradictions(pages, self.vmcoreinfo, notes)
        self.defects: tuple[FileDefect, ...] = tuple(found)
        """Everything that is wrong with the file's headers and index; :meth:`verify` looks at the pages."""
        self.end_bytes = flattened.end_bytes if flattened else pages.end_bytes
        """How much of the file the dump takes; a disk that it was written to goes on behind."""
        self._memory = (
            KernelMemory(self.vmcoreinfo, self.read_phys) if isinstance(self.vmcoreinfo, VmcoreInfo) else None
        )

    @property
    def complete(self) -> bool:
        """Does the file reach as far as its index says, and did its writer finish?"""
        return not any(defect.fault in (Fault.TRUNCATED, Fault.INCOMPLETE) for defect in self.defects)

    @property
    def ranges(self) -> tuple[Range, ...]:
        """The memory that the dump is of, whether its pages were left out or not."""
        return self.pages.ranges

    @property
    def dump_level(self) -> int | None:
        """makedumpfile's -d; None in ELF, which does not tell."""
        return self.pages.header.dump_level if isinstance(self.pages, diskdump.KdumpCompressed) else None

    @property
    def segments(self) -> tuple[elf.Segment, ...]:
        """The PT_LOADs; none in kdump-compressed."""
        return self.pages.segments if isinstance(self.pages, elf.ElfCore) else ()

    def has(self, pfn: int) -> bool:
        """Is a page in the dump?"""
        return self.pages.has(pfn)

    def held(self) -> Iterator[Range]:
        """The pages in the dump, as ranges of page numbers, in order."""
        return self.pages.held()

    def copies(self) -> Iterator[tuple[int, bytes]]:
        """Pages that the file holds a second time, number and bytes: those of the kernel's image, in ELF."""
        return self.pages.copies() if isinstance(self.pages, elf.ElfCore) else iter(())

    def page(self, pfn: int) -> bytes | FileDefect | None:
        """The 4096 bytes of a page; None when it is not in the dump; a defect when it is but cannot be had."""
        return self.pages.page(pfn)

    def read_phys(self, address: int, size: int) -> bytes | Defect:
        """Exactly ``size`` bytes; a Defect names the first page that is not there."""
        if address < 0 or not 0 <= size <= _MAX_READ_BYTES:
            return Defect(f"no dump holds {size} bytes at {address:#x}")
        whole = self.pages.read(address, size)
        if whole is not None:
            return whole
        pieces = []
        first, last = address // PAGE_BYTES, (address + size - 1) // PAGE_BYTES
        for pfn in range(first, last + 1):
            page = self.page(pfn)
            if page is None:
                return Defect(f"the page at {pfn * PAGE_BYTES:#x} is not in the dump")
            if isinstance(page, Defect):
                return page
            pieces.append(page)
        return b"".join(pieces)[address - first * PAGE_BYTES :][:size]

    def read_virtual(self, address: int, size: int) -> bytes | Defect:
        """By the crashed kernel's virtual address: its image, or what its own page tables map."""
        if self._memory is None:
            return Defect("virtual addresses need VMCOREINFO, and the dump has none")
        if not 0 <= size <= _MAX_READ_BYTES:
            return Defect(f"{size} bytes are too many to read at once")
        return self._memory.read(address, size)

    def physical(self, address: int) -> int | Defect:
        """Where a virtual address of the crashed kernel lies."""
        if self._memory is None:
            return Defect("virtual addresses need VMCOREINFO, and the dump has none")
        return self._memory.physical(address)

    def dmesg(self) -> tuple[printk.Record, ...] | Defect:
        """The crashed kernel's log."""
        if isinstance(self.vmcoreinfo, Defect):
            return self.vmcoreinfo
        return printk.read_log(self.vmcoreinfo, self.read_virtual)


def open_dump(source: Source, size_bytes: int) -> Dump | FileDefect:
    """Recognise the format and read the index: headers, notes, bitmaps, descriptors.

    Args:
        source: the file; it is read piece by piece, at random places, never as a whole.
        size_bytes: the file's size.

    Returns:
        The dump, which may have defects, or the reason why nothing of it can be used.
    """
    start = source(0, 16)
    flattened: flat.Flattened | None = None
    if flat.is_flattened(start):
        found = flat.read_flattened(source, size_bytes)
        if isinstance(found, FileDefect):
            return found
        flattened, source, size_bytes = found, found.source, found.size_bytes
        start = source(0, 16)
    kind, pages = _open_pages(start, source, size_bytes)
    if isinstance(pages, FileDefect):
        # A flattened file that is cut off or damaged says more by that than by what is then missing inside.
        return flattened.defects[0] if flattened and flattened.defects else pages
    return Dump(kind, pages, flattened)


def _open_pages(start: bytes, source: Source, size_bytes: int) -> tuple[Kind, Pages | FileDefect]:
    if start.startswith(elf.SIGNATURE):
        return Kind.ELF, elf.read_elf(source, size_bytes)
    if start.startswith(diskdump.SIGNATURE):
        return Kind.KDUMP_COMPRESSED, diskdump.read_kdump(source, size_bytes)
    if not start.strip(b"\0"):
        return Kind.ELF, unsupported(0, f"no dump: the file has {size_bytes} bytes and begins with zeros")
    return Kind.ELF, unsupported(0, f"no dump: the file begins with {start[:8]!r}")


def _vmcoreinfo(text: bytes | None, notes: tuple[Note, ...]) -> VmcoreInfo | Defect:
    in_notes = vmcoreinfo(notes)
    return in_notes if isinstance(in_notes, VmcoreInfo) or text is None else parse(text)


def _contradictions(pages: Pages, info: VmcoreInfo | Defect, notes: tuple[Note, ...]) -> Iterator[FileDefect]:
    """kdump-compressed says some things twice."""
    if isinstance(info, Defect):
        yield damaged(0, info.text)
        return
    text = pages.vmcoreinfo_text
    in_notes = vmcoreinfo(notes)
    if text is not None and pages.notes and parse(text) != in_notes:
        yield damaged(PAGE_BYTES, "the VMCOREINFO of the sub header differs from the one in the notes")
    if not isinstance(pages, diskdump.KdumpCompressed):
        return
    header = pages.header
    if header.release not in ("", info.release):
        yield damaged(12, f"the header is of a kernel {header.release!r}, VMCOREINFO of {info.release!r}")
    known = info.phys_base
    # QEMU's dump-guest-memory reads VMCOREINFO's decimal number as a hexadecimal one (seen in 7.2).
    if known is not None and header.phys_base not in {value % 2**64 for value in (0, known, int(str(known), 16))}:
        yield damaged(PAGE_BYTES, f"phys_base is {header.phys_base:#x} in the sub header, {known:#x} in VMCOREINFO")
