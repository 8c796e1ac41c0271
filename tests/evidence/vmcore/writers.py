"""Writers for the formats, independent of the readers: what a test damages."""

from __future__ import annotations

import itertools
import random
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from harness.evidence.vmcore import Dump, FileDefect, open_dump

PAGE = 4096
TESTDATA = Path(__file__).parents[2] / "testdata" / "vmcore"
VMCOREINFO = (
    b"OSRELEASE=6.1.0-test\nBUILD-ID=0123abcd\nPAGESIZE=4096\nSYMBOL(init_top_pgt)=ffffffff81002000\n"
    b"NUMBER(phys_base)=-16777216\nKERNELOFFSET=0\nNUMBER(KERNEL_IMAGE_SIZE)=1073741824\nCRASHTIME=1700000000\n"
)
REGISTERS = tuple(range(0x1000, 0x1000 + 27))


def source(data: bytes) -> Callable[[int, int], bytes]:
    """Reads as a file does: short at its end."""
    return lambda offset, size: data[offset : offset + size] if offset >= 0 and size >= 0 else b""


def opened(data: bytes) -> Dump:
    dump = open_dump(source(data), len(data))
    assert isinstance(dump, Dump), dump
    return dump


def refused(data: bytes) -> FileDefect:
    dump = open_dump(source(data), len(data))
    assert isinstance(dump, FileDefect)
    return dump


def page(number: int) -> bytes:
    """Contents of its own for each page; they compress badly for odd numbers, well for even ones."""
    if number % 2:
        return random.Random(number).randbytes(PAGE)  # noqa: S311
    return (b"page %d " % number * PAGE)[:PAGE]


def note(name: bytes, kind: int, data: bytes) -> bytes:
    name += b"\0"
    return struct.pack("<III", len(name), len(data), kind) + name + bytes(-len(name) % 4) + data + bytes(-len(data) % 4)


def prstatus(pid: int, registers: Sequence[int] = REGISTERS) -> bytes:
    status = bytearray(336)
    struct.pack_into("<i", status, 32, pid)
    struct.pack_into("<27Q", status, 112, *registers)
    return note(b"CORE", 1, bytes(status))


def notes(vmcoreinfo: bytes = VMCOREINFO, pids: Iterable[int] = (1, 0)) -> bytes:
    return b"".join(map(prstatus, pids)) + note(b"VMCOREINFO", 0, vmcoreinfo)


def elf(pages: Mapping[int, bytes], note_bytes: bytes | None = None, *, flags: int = 0, tail: int = 0) -> bytes:
    """One PT_LOAD a page; ``tail`` bytes behind each were left out of the file (p_memsz is larger)."""
    note_bytes = notes() if note_bytes is None else note_bytes
    count = 1 + len(pages)
    at = 64 + 56 * count
    headers = [struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(note_bytes), len(note_bytes), 0)]
    at += len(note_bytes)
    for pfn, data in pages.items():
        size = len(data)
        headers.append(
            struct.pack("<IIQQQQQQ", 1, 7, at, 0xFF000000_00000000 + pfn * PAGE, pfn * PAGE, size, size + tail, 0)
        )
        at += size
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = struct.pack("<16sHHIQQQIHHHHHH", ident, 4, 62, 1, 0, 64, 0, flags, 64, 56, count, 0, 0, 0)
    return head + b"".join(headers) + note_bytes + b"".join(pages.values())


def kdump(
    pages: Mapping[int, bytes],
    *,
    absent: Iterable[int] = (),
    note_bytes: bytes | None = None,
    vmcoreinfo: bytes = VMCOREINFO,
    status: int = 1,
    release: bytes = b"6.1.0-test",
    phys_base: int = -16777216,
    flags: int | None = None,
    pack: Callable[[bytes], bytes] = lambda data: zlib.compress(data, 1),
) -> bytes:
    """Pages in the file, and page numbers that were left out; a page that compresses is packed by zlib."""
    note_bytes = notes() if note_bytes is None else note_bytes
    max_pfn = max([*pages, *absent]) + 1
    bitmap = bytearray(-(-max_pfn // (8 * PAGE)) * PAGE)
    for pfn in pages:
        bitmap[pfn // 8] |= 1 << pfn % 8
    present = bytearray(bitmap)
    for pfn in absent:
        present[pfn // 8] |= 1 << pfn % 8
    sub_blocks = -(-(104 + len(note_bytes) + len(vmcoreinfo)) // PAGE)
    names = [b"Linux", b"(none)", release, b"#1", b"x86_64", b""]
    head = struct.pack("<8si", b"KDUMP   ", 6) + b"".join(name.ljust(65, b"\0") for name in names) + bytes(6 + 16)
    blocks = 2 * len(bitmap) // PAGE
    head += struct.pack("<IiiIIIIIIi", status, PAGE, sub_blocks, blocks, max_pfn, 0, 0, 0, 0, 2)
    note_at = PAGE + 104
    sub = struct.pack("<QiiQQQQQQQQQQQ", *(phys_base % 2**64, 31, 0, 0, 0, note_at + len(note_bytes), len(vmcoreinfo)),
        *(note_at, len(note_bytes), 0, 0, 0, max_pfn, max_pfn),
    )  # fmt: skip
    front = head.ljust(PAGE, b"\0") + (sub + note_bytes + vmcoreinfo).ljust(sub_blocks * PAGE, b"\0")
    front += bytes(present) + bytes(bitmap)
    zeros_at = len(front) + 24 * len(pages)
    descriptors, data = b"", bytes(PAGE)
    for pfn in sorted(pages):
        packed = pack(pages[pfn])
        if not pages[pfn].strip(b"\0"):
            descriptors += struct.pack("<QIIQ", zeros_at, PAGE, 0, 0)
            continue
        is_packed = len(packed) < PAGE
        body = packed if is_packed else pages[pfn]
        descriptors += struct.pack("<QIIQ", zeros_at + len(data), len(body), is_packed if flags is None else flags, 0)
        data += body
    return front + descriptors + data


def flattened(data: bytes, *, cuts: Sequence[int] = (), rewrite_first: bool = True, end: bool = True) -> bytes:
    """In records that end at ``cuts``; the first is written as zeros, and again at the end, as makedumpfile does."""
    borders = [0, *cuts, len(data)]
    records = [(start, data[start:stop]) for start, stop in itertools.pairwise(borders)]
    if rewrite_first:
        records = [(0, bytes(len(records[0][1]))), *records[1:], records[0]]
    out = struct.pack(">16sqq", b"makedumpfile", 1, 1).ljust(PAGE, b"\0")
    out += b"".join(struct.pack(">qq", at, len(body)) + body for at, body in records)
    return out + (struct.pack(">qq", -1, -1) if end else b"")


def flipped(data: bytes, offset: int, mask: int = 0x10) -> bytes:
    return data[:offset] + bytes([data[offset] ^ mask]) + data[offset + 1 :]


@dataclass(frozen=True)
class Verification:
    """What reading every page once has shown."""

    pages: int
    zero_pages: int
    sha256: str
    """Of all pages, in the order of their addresses: the same for the same pages, whatever the format."""
    defects: tuple[FileDefect, ...]


def verify(dump: Dump) -> Verification:
    """Read every page of a dump once."""
    pages = [dump.page(pfn) for run in dump.held() for pfn in range(run.start, run.end)]
    whole = [page for page in pages if isinstance(page, bytes)]
    defects = tuple(page for page in pages if isinstance(page, FileDefect))
    return Verification(len(pages), whole.count(bytes(PAGE)), sha256(b"".join(whole)).hexdigest(), defects)
