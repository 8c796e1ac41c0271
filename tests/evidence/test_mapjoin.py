"""Too many entries for the agent: joined, with an account of every byte and number."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence.listings.mapjoin import Piece, joined, numbers_text, told
from harness.model.words.memorymap import RangeType

FREE, BOOT, CODE, RUNTIME = (
    RangeType.CONVENTIONAL,
    RangeType.BOOT_SERVICES_DATA,
    RangeType.BOOT_SERVICES_CODE,
    RangeType.RUNTIME_SERVICES_DATA,
)


def pieces(*rows: tuple[int, int, RangeType]) -> list[Piece]:
    return [
        Piece(at * 4096, size * 4096, kind, (number,), f"mem{number:02}", at * 4096)
        for number, (at, size, kind) in enumerate(rows)
    ]


def shown(found: tuple[Piece, ...]) -> list[tuple[int, int, RangeType]]:
    return [(item.at // 4096, item.size // 4096, item.type) for item in found]


def test_few_enough_stay_as_they_are() -> None:
    some = pieces((0, 1, FREE), (1, 1, FREE), (2, 1, BOOT))
    assert joined(some, 3) == (tuple(some), ())


def test_one_type_goes_first_then_one_owner_then_all_ram() -> None:
    some = pieces((0, 4, FREE), (4, 4, FREE), (8, 1, CODE), (9, 2, BOOT), (11, 8, FREE), (20, 1, RUNTIME))
    assert shown(joined(some, 5)[0])[0] == (0, 8, FREE)
    assert shown(joined(some, 4)[0])[1] == (8, 3, BOOT)
    assert shown(joined(some, 3)[0]) == [(0, 11, FREE), (11, 8, FREE), (20, 1, RUNTIME)]
    assert shown(joined(some, 2)[0]) == [(0, 19, FREE), (20, 1, RUNTIME)]
    (whole, _), lost = joined(some, 2)
    assert lost == ()
    assert told(whole) == "mem00-mem04 joined, 0x1000 of boot-services-code and 0x2000 of boot-services-data in it"


def test_of_two_as_large_the_one_that_is_not_free_counts() -> None:
    assert shown(joined(pieces((0, 1, FREE), (1, 1, BOOT)), 1)[0]) == [(0, 2, BOOT)]
    assert shown(joined(pieces((0, 2, FREE), (2, 1, BOOT)), 1)[0]) == [(0, 3, FREE)]


def test_what_no_kernel_may_write_is_joined_with_nothing_else() -> None:
    some = pieces((0, 1, FREE), (1, 1, RUNTIME), (2, 1, RangeType.ACPI_NVS), (3, 5, RUNTIME), (9, 9, FREE))
    kept, lost = joined(some, 3)
    assert shown(kept) == [(1, 1, RUNTIME), (2, 1, RangeType.ACPI_NVS), (3, 5, RUNTIME)]
    assert shown(lost) == [(0, 1, FREE), (9, 9, FREE)]
    assert shown(joined(some, 2)[1])[1:] == [(1, 1, RUNTIME), (9, 9, FREE)]


def test_where_it_was_is_told() -> None:
    some = [Piece(0, 4096, FREE, (3,), "", 0x5000), Piece(4096, 4096, FREE, (5,), "", 0x6000)]
    assert told(joined(some, 1)[0][0]) == "mem03+mem05 joined, was at 0x5000"


def test_numbers() -> None:
    assert numbers_text((7, 1, 2, 3, 3, 12)) == "mem01-mem03+mem07+mem12"


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from((0, 0, 0, 1, 5)), st.integers(1, 9), st.sampled_from(list(RangeType)[:15])),
        min_size=1,
    ),
    limit=st.integers(1, 20),
)
def test_every_byte_is_there_once(rows: list[tuple[int, int, RangeType]], limit: int) -> None:
    at, placed = 0, []
    for gap, size, kind in rows:
        placed.append((at + gap, size, kind))
        at += gap + size
    some = pieces(*placed)
    kept, lost = joined(some, limit)
    assert len(kept) == min(len(some), limit)
    assert sorted(number for item in (*kept, *lost) for number in item.numbers) == list(range(len(some)))
    assert sum(item.size for item in (*kept, *lost)) == sum(item.size for item in some)
    ends = [(item.at, item.at + item.size) for item in sorted((*kept, *lost), key=lambda item: item.at)]
    assert all(one[1] <= other[0] for one, other in pairwise(ends))
    for item in kept:
        assert not item.type.kept or {kind for kind, _ in item.mixed} <= {item.type}
