"""A map printed in any wording, behind any prefix, cut in any way, is read as the map that it was."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence.listings import mapread
from harness.evidence.listings.entries import MapKind
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.ranges import Range

from .map_wordings import PREFIXES, WORDINGS, WRAPS, Wording

CUT = {name for name in WRAPS if name not in ("as they are", "crlf")}
# Nobody's mailer or terminal cuts these: they have 78 characters at most.
SHORT_LINES = {"xen", "shell"}
ATTRIBUTES = st.sampled_from((0xF, 0x1, 0x800000000000000F, 0x8, 0x1000F, 0x4400F, 0x8000000000000001, 0, 1 << 42 | 1))


@st.composite
def maps(draw: st.DrawFn) -> list[EfiRegion]:
    """Entries that do not overlap, in any order, of any type."""
    count = draw(st.integers(2, 12))
    at = draw(st.sampled_from((0, 0x100000, 0x40000000, 0x80000000, 0x100000000)))
    found = []
    for _ in range(count):
        at += draw(st.sampled_from((0, 0, 0, 0x1000, 0x10000000)))
        size = draw(st.sampled_from((0x1000, 0x9000, 0x9F000, 0x100000, 0x3FF00000, 0x400000000)))
        kind = draw(st.one_of(st.integers(0, 14), st.just(0x80000001)))
        found.append(EfiRegion(kind, Range.sized(at, size), draw(ATTRIBUTES)))
        at += size
    return draw(st.permutations(found))


def printed(regions: list[EfiRegion], wording: Wording, prefix: str, wrap: str, *, upper: bool) -> bytes:
    lines = [line.upper() if upper else line for line in wording.lines(regions)]
    return WRAPS[wrap]([PREFIXES[prefix](line) for line in ["something else", *lines, "and more"]])


def check(regions: list[EfiRegion], wording: str, prefix: str, wrap: str, *, upper: bool = False) -> None:
    log = printed(regions, WORDINGS[wording], prefix, wrap, upper=upper)
    found = mapread.read(log)
    assert not found.damaged, log.decode()
    (only,) = found.of_kind(MapKind.EFI)
    assert [entry.region for entry in only.entries] == regions, log.decode()
    assert [entry.number for entry in only.entries] == list(range(len(regions)))
    assert not only.odd
    assert not only.remarks


ONE = [
    EfiRegion(7, Range(0x1000, 0xA0000), 0xF),
    EfiRegion(6, Range(0x100000, 0x62A000), 0x800000000000000F),
    EfiRegion(0, Range(0xFED1C000, 0xFED20000), 0x8000000000000001),
    EfiRegion(4, Range(0x100000000, 0x19EE00000), 0xF),
]


@pytest.mark.parametrize("wording", WORDINGS)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_wording_behind_every_prefix(wording: str, prefix: str) -> None:
    check(ONE, wording, prefix, "as they are")
    check(ONE, wording, prefix, "crlf", upper=True)


@pytest.mark.parametrize(("wording", "wrap"), list(itertools.product(sorted(set(WORDINGS) - SHORT_LINES), sorted(CUT))))
def test_every_wording_cut_in_every_way(wording: str, wrap: str) -> None:
    check(ONE, wording, "stamp", wrap)
    check(ONE, wording, "none", wrap)


@settings(max_examples=200, deadline=None)
@given(
    regions=maps(),
    wording=st.sampled_from(sorted(set(WORDINGS) - SHORT_LINES)),
    prefix=st.sampled_from(sorted(PREFIXES)),
    wrap=st.sampled_from(sorted(WRAPS)),
    upper=st.booleans(),
)
def test_any_map_in_any_wording(regions: list[EfiRegion], wording: str, prefix: str, wrap: str, upper: bool) -> None:
    check(regions, wording, prefix, wrap, upper=upper)


@settings(max_examples=60, deadline=None)
@given(regions=maps(), wording=st.sampled_from(sorted(SHORT_LINES)), prefix=st.sampled_from(sorted(PREFIXES)))
def test_any_map_of_xen_and_the_shell(regions: list[EfiRegion], wording: str, prefix: str) -> None:
    check(regions, wording, prefix, "as they are")


@settings(max_examples=100, deadline=None)
@given(regions=maps(), wording=st.sampled_from(sorted(WORDINGS)), at=st.floats(0, 1), data=st.data())
def test_a_lost_line_or_character_is_no_other_map(
    regions: list[EfiRegion], wording: str, at: float, data: st.DataObject
) -> None:
    """Where entries have numbers, a map is whole, remarked on or refused; it is never one with a hole."""
    if "mem00" not in (lines := WORDINGS[wording].lines(regions))[-len(regions)]:
        return
    del lines[len(lines) - 1 - int(at * (len(regions) - 2)) - 1]
    found = mapread.read("\n".join(lines).encode())
    assert not found.maps
    assert len(found.damaged) == 1
