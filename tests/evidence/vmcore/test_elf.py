"""What only an ELF core can have wrong."""

from __future__ import annotations

import struct

import pytest

from evidence.vmcore.writers import (
    PAGE,
    elf,
    notes,
    opened,
    page,
)
from harness.evidence.ranges import Range
from harness.evidence.vmcore import Dump

PAGES = {pfn: page(pfn) for pfn in (3, 4, 5, 6, 9, 12, 13, 5000)}


def held(dump: Dump) -> list[int]:
    return [pfn for run in dump.held() for pfn in range(run.start, run.end)]


class TestElf:
    def test_many_segments_of_which_later_ones_overlap(self) -> None:
        """The kernel's image is listed twice in /proc/vmcore: as such, and as a part of the memory."""
        pages = {3: page(3) + page(4) + page(5), 4: page(4)}
        dump = opened(elf(pages))
        assert [dump.page(pfn) for pfn in (3, 4, 5)] == [page(3), page(4), page(5)]
        assert dump.ranges == (Range(3 * PAGE, 6 * PAGE),)

    def test_what_is_there_twice_is_given_twice(self) -> None:
        """A byte changed in one of two copies must be in what ``page`` gives, or in the other."""
        dump = opened(elf({3: page(3) + page(4) + page(5), 4: page(9)}))
        ((pfn, other),) = dump.copies()
        assert (pfn, {dump.page(4), other}) == (4, {page(4), page(9)})
        assert list(opened(elf(PAGES)).copies()) == []

    def test_more_than_65534_segments(self) -> None:
        """PN_XNUM: the number is in sh_info of section 0."""
        data = bytearray(elf(PAGES))
        struct.pack_into("<H", data, 56, 0xFFFF)
        struct.pack_into("<Q", data, 40, len(data))
        section = bytearray(64)
        struct.pack_into("<I", section, 44, 1 + len(PAGES))
        assert held(opened(bytes(data + section))) == sorted(PAGES)

    @pytest.mark.parametrize(("field", "value"), [(24, 1 << 60), (8, 1 << 63), (40, PAGE - 1), (40, 1 << 63)])
    def test_segment_that_makes_no_sense(self, field: int, value: int) -> None:
        data = bytearray(elf(PAGES))
        struct.pack_into("<Q", data, 64 + 56 + field, value)
        assert "makes no sense" in opened(bytes(data)).defects[0].text

    def test_notes_behind_the_memory_and_cut_off(self) -> None:
        data = bytearray(elf(PAGES) + notes())
        struct.pack_into("<Q", data, 64 + 8, len(data) - len(notes()))
        assert opened(bytes(data)).defects == ()
        cut = opened(bytes(data[:-100]))
        assert (cut.complete, cut.defects[0].text) == (False, "100 bytes of the notes are missing")

    def test_unknown_program_header(self) -> None:
        data = bytearray(elf(PAGES))
        struct.pack_into("<I", data, 64 + 56, 0x6474E551)
        assert "unknown type" in opened(bytes(data)).defects[0].text
