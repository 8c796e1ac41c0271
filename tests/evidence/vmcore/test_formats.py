"""The three formats, whole and damaged."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

import pytest

from evidence.vmcore.writers import (
    PAGE,
    elf,
    flattened,
    flipped,
    kdump,
    opened,
    page,
    refused,
    source,
    verify,
)
from harness.evidence.ranges import Range
from harness.evidence.vmcore import Dump, Fault, FileDefect, Kind, open_dump
from harness.evidence.vmcoreinfo import VmcoreInfo

PAGES = {pfn: page(pfn) for pfn in (3, 4, 5, 6, 9, 12, 13, 5000)}


FORMATS: dict[str, Callable[[], bytes]] = {
    "elf": lambda: elf(PAGES),
    "kdump": lambda: kdump(PAGES),
    "flat-elf": lambda: flattened(elf(PAGES), cuts=(64, 2000, 9000)),
    "flat-kdump": lambda: flattened(kdump(PAGES), cuts=(464, PAGE, 20000)),
}


@pytest.fixture(params=FORMATS)
def whole(request: pytest.FixtureRequest) -> bytes:
    return FORMATS[request.param]()


def held(dump: Dump) -> list[int]:
    return [pfn for run in dump.held() for pfn in range(run.start, run.end)]


class TestWhole:
    def test_pages(self, whole: bytes) -> None:
        dump = opened(whole)
        assert {pfn: dump.page(pfn) for pfn in held(dump)} == PAGES
        assert all(dump.has(pfn) == (pfn in PAGES) for pfn in range(5010))
        assert dump.page(7) is None

    def test_is_complete_and_clean(self, whole: bytes) -> None:
        dump = opened(whole)
        verified = verify(dump)
        assert (dump.complete, dump.defects, dump.end_bytes) == (True, (), len(whole))
        assert (verified.pages, verified.zero_pages, verified.defects) == (len(PAGES), 0, ())

    def test_what_follows_on_the_disk_is_left_alone(self, whole: bytes) -> None:
        dump = opened(whole + bytes(PAGE) + b"old data")
        assert (dump.complete, dump.defects, dump.end_bytes) == (True, (), len(whole))

    def test_all_formats_have_the_same_pages(self) -> None:
        digests = {verify(opened(make())).sha256 for make in FORMATS.values()}
        assert len(digests) == 1

    def test_notes(self, whole: bytes) -> None:
        dump = opened(whole)
        assert [(cpu.number, cpu.pid) for cpu in dump.notes] == [(0, 1), (1, 0)]
        registers = dump.notes[0].registers
        assert (registers["r15"], registers["rip"], registers["rsp"], registers["gs"]) == (
            *(0x1000, 0x1000 + 16),
            *(0x1000 + 19, 0x1000 + 26),
        )
        assert isinstance(dump.vmcoreinfo, VmcoreInfo)
        assert dump.vmcoreinfo.release == "6.1.0-test"

    def test_physical_reads_cross_pages(self, whole: bytes) -> None:
        dump = opened(whole)
        assert dump.read_phys(3 * PAGE + 4000, 200) == (page(3) + page(4))[4000:4200]
        assert dump.read_phys(5 * PAGE, 0) == b""
        assert str(dump.read_phys(6 * PAGE + 4000, 200)) == "the page at 0x7000 is not in the dump"
        assert str(dump.read_phys(0, 1 << 40)).startswith("no dump holds")
        assert str(dump.read_phys(-5, 10)).startswith("no dump holds")


def test_kinds() -> None:
    kinds = {name: (opened(make()).kind, opened(make()).flattened) for name, make in FORMATS.items()}
    assert kinds == {
        "elf": (Kind.ELF, False),
        "kdump": (Kind.KDUMP_COMPRESSED, False),
        "flat-elf": (Kind.ELF, True),
        "flat-kdump": (Kind.KDUMP_COMPRESSED, True),
    }


class TestTruncated:
    def test_everywhere(self, whole: bytes) -> None:
        """At every place there is a defect of the right kind, and the dump is not complete."""
        places = sorted({*range(0, len(whole), 611), *range(0, 80, 7), len(whole) - 1, len(whole) - PAGE})
        for place in places:
            dump = open_dump(source(whole[:place]), place)
            if isinstance(dump, FileDefect):
                assert dump.fault is (Fault.TRUNCATED if place >= 16 else dump.fault), (place, dump)
            else:
                assert not dump.complete, place
                assert any(defect.fault is Fault.TRUNCATED for defect in dump.defects)

    @pytest.mark.parametrize("cut", [1, PAGE, 3 * PAGE])
    def test_elf_says_how_much_is_missing(self, cut: int) -> None:
        dump = opened(elf({3: page(3) + page(4) + page(5)})[:-cut])
        assert str(dump.defects[0]).startswith(f"{cut} bytes of the memory at 0x3000 are missing at the file's end")
        assert [dump.has(pfn) for pfn in (4, 5)] == [cut <= PAGE, False]

    def test_kdump_page_that_is_cut_off(self) -> None:
        data = kdump(PAGES)
        dump = opened(data[:-10])
        assert [str(defect) for defect in dump.defects] == [
            f"10 bytes of page data are missing (at offset {len(data) - 10:#x})"
        ]
        cut = dump.page(5000)
        assert isinstance(cut, FileDefect)
        assert cut.fault is Fault.TRUNCATED

    def test_flattened_without_end_marker(self) -> None:
        data = flattened(kdump(PAGES), end=False)
        dump = opened(data)
        assert [(d.fault, d.text, d.offset) for d in dump.defects] == [
            (Fault.TRUNCATED, "the flattened data has no end marker", len(data))
        ]


class TestIncomplete:
    def test_kdump_status_bit(self) -> None:
        dump = opened(kdump(PAGES, status=1 | 8))
        assert not dump.complete
        assert [(defect.fault, defect.offset) for defect in dump.defects] == [(Fault.INCOMPLETE, 424)]

    def test_elf_flag(self) -> None:
        dump = opened(elf(PAGES, flags=1))
        assert not dump.complete
        assert [(defect.fault, defect.offset) for defect in dump.defects] == [(Fault.INCOMPLETE, 48)]


class TestFilter:
    def test_excluded_pages_are_no_defect(self) -> None:
        dump = opened(kdump(PAGES, absent=(7, 8, 10)))
        assert (dump.defects, dump.page(7), dump.has(8)) == ((), None, False)
        assert dump.ranges[0] == Range(3 * PAGE, 11 * PAGE)
        assert dump.dump_level == 31

    def test_elf_segment_with_a_tail_left_out(self) -> None:
        dump = opened(elf({3: page(3)}, tail=2 * PAGE))
        assert (dump.defects, dump.complete, dump.has(3), dump.has(4)) == ((), True, True, False)
        assert dump.ranges == (Range(3 * PAGE, 6 * PAGE),)

    def test_elf_page_of_which_a_part_is_there(self) -> None:
        dump = opened(elf({3: page(3) + b"abc"}))
        assert (dump.has(4), dump.page(4), dump.read_phys(4 * PAGE, 3)) == (False, None, b"abc")
        assert held(dump) == [3]

    def test_zero_pages_read_as_zeros(self) -> None:
        pages = {3: page(3), 4: bytes(PAGE), 5: page(5), 6: bytes(PAGE)}
        dump = opened(kdump(pages))
        assert (dump.defects, dump.page(4), dump.page(6)) == ((), bytes(PAGE), bytes(PAGE))
        assert verify(dump).zero_pages == 2


class TestFlattened:
    def test_cut_inside_a_record(self) -> None:
        data = flattened(kdump(PAGES), rewrite_first=False)
        dump = opened(data[:-116])
        assert dump.defects[0].text == "the flattened data ends 100 bytes before its record for offset 0x0 does"
        assert dump.has(3)

    def test_a_later_record_overwrites(self) -> None:
        inner = elf(PAGES)
        data = flattened(inner, cuts=(1000,), end=False)
        data += struct.pack(">qq", len(inner) - 8, 4) + b"last" + struct.pack(">qq", -1, -1)
        last = opened(data).page(5000)
        assert isinstance(last, bytes)
        assert (last[:-8], last[-8:-4], last[-4:]) == (page(5000)[:-8], b"last", page(5000)[-4:])

    def test_random_records_in_any_order(self) -> None:
        """Against the simplest writer: a bytearray."""
        chance = random.Random(7)  # noqa: S311
        for _ in range(50):
            inner = bytearray(elf(PAGES))
            data = flattened(bytes(inner), end=False)
            for _ in range(20):
                at, size = chance.randrange(4000, len(inner) - 300), chance.randrange(1, 300)
                body = chance.randbytes(size)
                inner[at : at + size] = body
                data += struct.pack(">qq", at, size) + body
            data += struct.pack(">qq", -1, -1)
            plain, flat = opened(bytes(inner)), opened(data)
            assert verify(flat).sha256 == verify(plain).sha256

    @pytest.mark.parametrize(("offset", "size"), [(-1, 5), (5, -1), (0, 0), (1 << 62, 1), (5, 1 << 62)])
    def test_absurd_record(self, offset: int, size: int) -> None:
        data = flattened(elf(PAGES), end=False) + struct.pack(">qq", offset, size)
        dump = opened(data + struct.pack(">qq", -1, -1))
        assert [defect.fault for defect in dump.defects] == [Fault.DAMAGED]
        assert "a record of the flattened data" in dump.defects[0].text

    def test_unknown_version(self) -> None:
        assert refused(flipped(flattened(elf(PAGES)), 31)).fault is Fault.UNSUPPORTED


class TestFlipped:
    """One flipped bit in each part of a kdump-compressed file."""

    WHOLE = kdump({**PAGES, 20: bytes(PAGE), 21: bytes(PAGE)}, absent=(7, 8))
    BITMAPS = 2 * PAGE
    DESCRIPTORS = 4 * PAGE
    ZEROS = DESCRIPTORS + 24 * 10

    def test_the_whole_is_clean(self) -> None:
        dump = opened(self.WHOLE)
        assert (dump.defects, verify(dump).defects, dump.complete) == ((), (), True)

    def found(self, offset: int, mask: int = 0x10) -> list[str]:
        data = flipped(self.WHOLE, offset, mask)
        dump = open_dump(source(data), len(data))
        if isinstance(dump, FileDefect):
            return [dump.text]
        return [defect.text for defect in (*dump.defects, *verify(dump).defects)]

    @pytest.mark.parametrize(
        ("offset", "says"),
        [
            (8, "version 22"),
            (12 + 130, "the header is of a kernel '&.1.0-test'"),
            (12 + 260, "the machine is 'h86_64'"),
            (425, "the status is 0x1001"),
            (428, "the block size is 4112"),
            (432, "bitmap 1 is cut off"),
            (434, "the sub header has 1048577 blocks"),
            (436, "pages and bitmaps of"),
            (PAGE, "phys_base is"),
            (PAGE + 32, "VMCOREINFO"),
            (PAGE + 48, "notes"),
            (PAGE + 97, "has pages behind the last"),
        ],
    )
    def test_header(self, offset: int, says: str) -> None:
        found = self.found(offset)
        assert found
        assert any(says in text for text in found), found

    @pytest.mark.parametrize("field", [0, 1, 7, 8, 11, 12, 15, 16, 23])
    def test_every_field_of_a_descriptor(self, field: int) -> None:
        for number in range(10):
            found = self.found(self.DESCRIPTORS + 24 * number + field, 0x40)
            # The last one's size may as well mean that the file is too short.
            assert any("descriptor" in text or "missing" in text for text in found), (number, found)

    def test_bitmap_of_pages_in_the_file(self) -> None:
        for pfn in (3, 7, 13, 40):
            assert self.found(self.BITMAPS + PAGE + pfn // 8, 1 << pfn % 8)

    def test_bitmap_of_the_memory(self) -> None:
        found = self.found(self.BITMAPS, 1 << 4)
        assert found == ["page 0x4 is in the file but not in the guest's memory"]

    def test_bit_behind_the_last_page(self) -> None:
        assert "bitmap 1 has pages behind the last" in self.found(self.BITMAPS + PAGE - 1)

    def test_compressed_page(self) -> None:
        data_at = self.ZEROS + PAGE + PAGE  # page 3 does not compress, page 4 does
        for offset in (0, 1, 9, 20):
            found = self.found(data_at + offset)
            assert any("page 0x4" in text for text in found), (offset, found)

    def test_shared_page_of_zeros(self) -> None:
        assert self.found(self.ZEROS + 77) == ["the page of zeros that all zero pages share is not zero"]

    def test_uncompressed_page_shows_only_in_the_hash(self) -> None:
        """That is what the ground truth from outside is for."""
        data = flipped(self.WHOLE, self.ZEROS + PAGE + 5)
        dump = opened(data)
        assert dump.defects == verify(dump).defects == ()
        assert verify(dump).sha256 != verify(opened(self.WHOLE)).sha256


@pytest.mark.parametrize(
    "pack",
    [
        lambda data: zlib.compress(data)[:-4],  # all the data, but not its checksum
        lambda data: zlib.compress(data) + b"more",
        lambda data: zlib.compress(data + b"x"),
        lambda data: zlib.compress(data[:-1]),
        lambda data: zlib.compress(bytes(1 << 20)),
    ],
)
def test_page_that_is_not_exactly_one(pack: Callable[[bytes], bytes]) -> None:
    dump = opened(kdump({4: page(4)}, pack=pack))
    assert dump.defects == ()
    found = dump.page(4)
    assert isinstance(found, FileDefect)
    assert found.text == "page 0x4 does not unpack to exactly 4096 bytes"
    assert verify(dump).defects == (found,)


def test_absurd_bitmaps() -> None:
    data = bytearray(kdump(PAGES))
    blocks = 1 << 30
    struct.pack_into("<I", data, 436, blocks)
    struct.pack_into("<Q", data, PAGE + 96, blocks // 2 * PAGE * 8)
    assert refused(bytes(data)).text == f"the two bitmaps have {blocks} blocks"


class TestUnsupported:
    @pytest.mark.parametrize(("flag", "name"), [(2, "lzo"), (4, "snappy"), (0x20, "zstd")])
    def test_other_compressions_are_named(self, flag: int, name: str) -> None:
        dump = opened(kdump(PAGES, flags=flag, status=flag))
        assert [defect.fault for defect in dump.defects] == [Fault.UNSUPPORTED]
        assert name in dump.defects[0].text
        page_4 = dump.page(4)
        assert isinstance(page_4, FileDefect)
        assert name in page_4.text

    def test_other_files(self) -> None:
        assert refused(b"").text == "no dump: the file has 0 bytes and begins with zeros"
        assert refused(bytes(9000)).fault is Fault.UNSUPPORTED
        assert "begins with b'#!/bin/s'" in refused(b"#!/bin/sh\nexit 0\n").text
        whole = elf(PAGES)
        assert refused(flipped(whole, 4, 3)).text == "not a 64-bit little-endian ELF file"
        assert "no x86-64 core" in refused(flipped(whole, 16)).text
        assert "no x86-64 core" in refused(flipped(whole, 18)).text
