"""A bitmap of pages: bit N of byte B is page 8 * B + N, as in kdump-compressed files."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from harness.evidence.ranges import Range

_CHUNK_BYTES = 512
_CHUNK_BITS = 8 * _CHUNK_BYTES


class Bitmap:
    """``bits`` pages; bits behind them count only for :attr:`stray`."""

    def __init__(self, data: bytes, bits: int) -> None:
        self._data = data
        self.bits = bits
        self._before = array("Q", [0])
        """How many bits are set before each chunk."""
        for at in range(0, len(data), _CHUNK_BYTES):
            self._before.append(self._before[-1] + self._chunk(at).bit_count())

    @property
    def count(self) -> int:
        """How many bits are set."""
        return self._before[-1]

    @property
    def stray(self) -> bool:
        """Is a bit set behind the last page?"""
        return bool(int.from_bytes(self._data[self.bits // 8 :], "little") >> self.bits % 8)

    def __contains__(self, page: int) -> bool:
        return 0 <= page < min(self.bits, 8 * len(self._data)) and bool(self._data[page >> 3] >> (page & 7) & 1)

    def rank(self, page: int) -> int:
        """How many bits are set before ``page``."""
        chunk, bit = divmod(page, _CHUNK_BITS)
        return self._before[chunk] + (self._chunk(chunk * _CHUNK_BYTES) & ((1 << bit) - 1)).bit_count()

    def runs(self) -> Iterator[Range]:
        """The pages whose bits are set, in runs."""
        first: int | None = None
        for page, is_set in self._changes():
            if is_set:
                first = page
            elif first is not None:
                yield Range(first, page)
                first = None

    def outside(self, other: Bitmap) -> int | None:
        """The first page that is set here and not in ``other``."""
        mine = int.from_bytes(self._data, "little") & ~int.from_bytes(other._data, "little")
        return (mine & -mine).bit_length() - 1 if mine else None

    def _changes(self) -> Iterator[tuple[int, bool]]:
        """Each page whose bit differs from the page before it, and its bit; the last one clears."""
        before = 0
        for at in range(0, len(self._data), _CHUNK_BYTES):
            word = self._chunk(at)
            changed = word ^ ((word << 1 | before) & ((1 << _CHUNK_BITS) - 1))
            before = word >> (_CHUNK_BITS - 1)
            while changed:
                lowest = changed & -changed
                yield at * 8 + lowest.bit_length() - 1, bool(word & lowest)
                changed ^= lowest
        if before:
            yield 8 * len(self._data), False

    def _chunk(self, at: int) -> int:
        return int.from_bytes(self._data[at : at + _CHUNK_BYTES], "little")
