"""A guest's memory as it was at one moment, small enough to keep: one digest a page, and some pages whole.

Digests are BLAKE2b of 8 bytes; a page of zeros has the digest 0, so that the file of an idle machine is mostly zeros.
2 MiB stand for 1 GiB. By chance two different pages have the same digest once in 2^64.
"""

from __future__ import annotations

import hashlib
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from harness.evidence.defect import Defect
from harness.evidence.ranges import PAGE_BYTES, Range

DIGEST_BYTES = 8
ZERO_PAGE = bytes(PAGE_BYTES)
_ZERO_DIGEST = bytes(DIGEST_BYTES)
_PAIR = struct.Struct("<Q")
PAIR_BYTES = _PAIR.size + 2 * PAGE_BYTES


def digest(page: bytes) -> bytes:
    """The digest of 4096 bytes."""
    if page == ZERO_PAGE:
        return _ZERO_DIGEST
    return hashlib.blake2b(page, digest_size=DIGEST_BYTES).digest()


def digests(data: bytes) -> bytes:
    """The digests of whole pages, one after the other."""
    view = [data[at : at + PAGE_BYTES] for at in range(0, len(data), PAGE_BYTES)]
    return b"".join(map(digest, view))


class Digests:
    """The digests of the pages of some ranges. Made by ``digests_of``."""

    def __init__(self, ranges: Sequence[Range], data: bytes) -> None:
        self.ranges = tuple(ranges)
        self._starts = [item.start for item in self.ranges]
        self._before = [0, *accumulate(item.size_bytes // PAGE_BYTES for item in self.ranges)]
        self._data = data

    @property
    def pages(self) -> int:
        """How many there are."""
        return self._before[-1]

    def at(self, pfn: int) -> bytes | None:
        """The digest of the page with this number; None when it was not sampled."""
        place = self._place(pfn * PAGE_BYTES)
        return None if place is None else self._data[place : place + DIGEST_BYTES]

    def is_zero(self, pfn: int) -> bool:
        """Was it a page of zeros?"""
        return self.at(pfn) == _ZERO_DIGEST

    def zero_pages(self) -> int:
        """How many pages held nothing but zeros."""
        step = DIGEST_BYTES
        return sum(self._data[at : at + step] == _ZERO_DIGEST for at in range(0, len(self._data), step))

    def _place(self, address: int) -> int | None:
        index = bisect_right(self._starts, address) - 1
        if index < 0 or not self.ranges[index].contains(address):
            return None
        return DIGEST_BYTES * (self._before[index] + (address - self._starts[index]) // PAGE_BYTES)


def digests_of(ranges: Sequence[Range], data: bytes) -> Digests | Defect:
    """Digests of ``ranges`` (ascending, whole pages) from the bytes of a file."""
    pages = sum(item.size_bytes // PAGE_BYTES for item in ranges)
    if any(item.start % PAGE_BYTES or item.end % PAGE_BYTES for item in ranges):
        return Defect("the ranges of the sampled memory are no whole pages")
    if list(ranges) != sorted(ranges, key=lambda item: item.start):
        return Defect("the ranges of the sampled memory are not in order")
    if len(data) != pages * DIGEST_BYTES:
        return Defect(f"{len(data)} bytes of digests for {pages} pages of {DIGEST_BYTES} bytes each")
    return Digests(ranges, data)


@dataclass(frozen=True)
class Pair:
    """A page at two moments."""

    pfn: int
    before: bytes
    after: bytes


def pack(pair: Pair) -> bytes:
    """For a file of pairs."""
    return _PAIR.pack(pair.pfn) + pair.before + pair.after


def pairs(data: bytes) -> Iterator[Pair]:
    """The pairs of a file; what is cut short at its end is left out."""
    for at in range(0, len(data) - PAIR_BYTES + 1, PAIR_BYTES):
        (pfn,) = _PAIR.unpack_from(data, at)
        begin = at + _PAIR.size
        yield Pair(pfn, data[begin : begin + PAGE_BYTES], data[begin + PAGE_BYTES : at + PAIR_BYTES])
