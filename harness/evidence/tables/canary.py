"""The canary words that the EFI agent puts round a table (docs/link-protocol.md).

Every 8-byte little-endian word at an 8-byte aligned guest-physical address is ``seed XOR address``, so that a page
copied to another place, or zeroed, or swapped with its neighbour, shows at once.
"""

from __future__ import annotations

import struct

from harness.evidence.ranges import Range, align_down, align_up

_WORD_BYTES = 8
_MASK = 2**64 - 1


def canary_bytes(seed: int, address: int, size_bytes: int) -> bytes:
    """The ``size_bytes`` canary bytes that belong at ``address`` (neither needs to be a multiple of 8)."""
    first = align_down(address, _WORD_BYTES)
    words = range(first, align_up(address + size_bytes, _WORD_BYTES), _WORD_BYTES)
    data = struct.pack(f"<{len(words)}Q", *((seed ^ word) & _MASK for word in words))
    return data[address - first :][:size_bytes]


def damaged(sample: bytes, address: int, seed: int, table: Range) -> tuple[Range, ...]:
    """Where the canaries of a sample are not what they were, the table itself left out.

    Args:
        sample: guest-physical memory, read from ``address`` on.
        table: the table's own bytes, which hold no canary.

    Returns:
        Runs of damaged bytes, in order. Fewer than 8 undamaged bytes between two damaged ones do not end a run,
        because foreign data may equal a canary byte by chance.
    """
    expected = canary_bytes(seed, address, len(sample))
    if expected == sample:
        return ()
    runs: list[Range] = []
    for index, (was, now) in enumerate(zip(expected, sample, strict=True)):
        place = address + index
        if was == now or table.contains(place):
            continue
        if runs and place - runs[-1].end < _WORD_BYTES and not table.overlaps(Range(runs[-1].start, place + 1)):
            runs[-1] = Range(runs[-1].start, place + 1)
        else:
            runs.append(Range(place, place + 1))
    return tuple(runs)
