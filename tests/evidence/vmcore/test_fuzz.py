"""Any damage to any format: never an exception, never much memory."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence.vmcore.kernel import PHYS_BASE, Kernel, symbols, vmcoreinfo
from evidence.vmcore.writers import PAGE, elf, flattened, kdump, source, verify
from harness.evidence.defect import Defect
from harness.evidence.ranges import Range
from harness.evidence.vmcore import Dump, FileDefect, open_dump
from harness.evidence.vmcore.lawful import at_panic
from harness.evidence.vmcore.source import Extent, ExtentMap
from harness.evidence.vmcore.truth import compare
from harness.subjects.kdump.stack import names_on_stack

_KERNEL = Kernel()
_PAGES = {pfn: data for pfn, data in _KERNEL.pages().items() if data.strip(b"\0")}
_NOTES = _KERNEL.notes()
_KDUMP = kdump(_PAGES, absent=[0x900], note_bytes=_NOTES, vmcoreinfo=vmcoreinfo(), phys_base=PHYS_BASE)
_ELF = elf(_PAGES, _NOTES)
FILES = [_ELF, _KDUMP, flattened(_ELF, cuts=(100, 5000)), flattened(_KDUMP, cuts=(464, 4096))]
INTERESTING = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**63, 2**64 - 1, 2**62, 4096]


def use(data: bytes) -> Dump | FileDefect:
    """Everything there is to do with a dump."""
    dump = open_dump(source(data), len(data))
    if isinstance(dump, FileDefect):
        assert str(dump)
        return dump
    assert all(str(defect) for defect in dump.defects)
    verify(dump)
    assert isinstance(dump.dmesg(), tuple | Defect)
    assert all(names_on_stack(dump, cpu, symbols()) is not None for cpu in dump.notes)
    compare(dump, [(0x100000, bytes(3 * PAGE))], at_panic(dump, symbols()))
    return dump


changes = st.lists(
    st.tuples(st.integers(0, 16383), st.sampled_from(INTERESTING) | st.integers(0, 2**64 - 1), st.sampled_from("BHIQ")),
    max_size=6,
)


@pytest.mark.parametrize("number", range(len(FILES)))
def test_files_are_usable(number: int) -> None:
    dump = use(FILES[number])
    assert isinstance(dump, Dump)
    assert dump.defects == ()


@pytest.mark.parametrize("number", range(len(FILES)))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=changes, cut=st.none() | st.integers(0, 40000))
def test_any_damage(number: int, changes: list[tuple[int, int, str]], cut: int | None) -> None:
    """In the first 16 KiB are all headers, bitmaps, descriptors and notes."""
    data = bytearray(FILES[number])
    for place, value, layout in changes:
        size = struct.calcsize(layout)
        struct.pack_into("<" + layout, data, place, value % (1 << 8 * size))
    use(bytes(data[:cut]))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([b"\x7fELF\x02\x01\x01", b"KDUMP   ", b"makedumpfile\0\0\0\0", b""]), st.binary(max_size=6000))
def test_any_bytes(start: bytes, rest: bytes) -> None:
    use(start + rest)


@pytest.mark.parametrize("field", [8, 416, 424, 428, 432, 436, 440, *range(PAGE, PAGE + 104, 8)])
@pytest.mark.parametrize("value", [2**31 - 1, 2**32 - 1, 2**20])
def test_absurd_sizes_take_no_memory(field: int, value: int) -> None:
    """A size is doubted before it is believed: this file claims to be of a machine with exabytes."""
    data = bytearray(_KDUMP)
    struct.pack_into("<I", data, field, value)
    size = 1 << 50  # as of a sparse file, so that the file's size does not help

    def read(offset: int, wanted: int) -> bytes:
        if not 0 <= offset < size:
            return b""
        return bytes(data[offset : offset + wanted]).ljust(min(wanted, size - offset), b"\0")

    tracemalloc.start()
    try:
        open_dump(read, size)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 300 << 20


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=20))
def test_extents_as_a_dictionary_has_them(pieces: list[tuple[int, int]]) -> None:
    expected: dict[int, int] = {}
    extents = []
    for number, (start, size) in enumerate(pieces):
        extents.append(Extent(Range.sized(start, size), number * 1000))
        expected |= {start + place: number * 1000 + place for place in range(size)}
    held = ExtentMap(extents)
    for address in range(-1, 90):
        extent = held.at(address)
        assert (None if extent is None else extent.offset + address - extent.range.start) == expected.get(address)
        assert held.next_start(address) == min((e.range.start for e in held if e.range.start > address), default=None)
