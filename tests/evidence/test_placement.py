"""harness.evidence.maps.placement"""

import dataclasses

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.evidence.defect import Defect
from harness.evidence.maps.placement import (
    MIN_INITRD,
    MIN_KERNEL,
    KernelNeeds,
    Request,
    Rule,
    counterfactual,
    filled,
    place,
    requests_of,
)
from harness.evidence.maps.segments import Role, Segment
from harness.evidence.ranges import Range, align_down

MIB = 2**20
PAGE = Range(0x3BFFF000, 0x3C000000)
RAM = (
    Range(0x1000, 0xA0000),
    Range(0x100000, 0x806000),
    Range(0x900000, 0x3BFFF000),
    Range(0x3C000000, 0x3EAA0000),
)
"""A 1 GiB guest whose ESRT page is reserved."""
NEEDS = KernelNeeds(init_size_bytes=0x3377000, alignment_bytes=0x200000, pref_address=0x1000000)


def segment(role: Role, memory: int, buffer: int | None = None) -> Segment:
    return Segment(0, memory if buffer is None else buffer, Range.sized(0, memory), role)


def loaded(
    rule: Rule, *, pref: bool = False, ram: tuple[Range, ...] = RAM, initrd: int = 46 * MIB
) -> tuple[Segment, ...]:
    """What a kernel that follows the rule would report."""
    wanted = (
        segment(Role.PURGATORY, 0x5000),
        segment(Role.BOOT_PARAMS, 0x2000),
        segment(Role.KERNEL, NEEDS.init_size_bytes, 12 * MIB),
        segment(Role.INITRD, initrd),
    )
    placed = place(ram, requests_of(wanted, NEEDS, respect_pref_address=pref), rule)
    assert not isinstance(placed, Defect)
    return placed


def by_role(segments: tuple[Segment, ...]) -> dict[Role, Range]:
    return {item.role: item.range for item in segments}


def test_low_first():
    places = by_role(loaded(Rule.LOW_FIRST))
    assert places[Role.PURGATORY] == Range(0x9B000, 0xA0000)
    assert places[Role.BOOT_PARAMS] == Range(0x99000, 0x9B000)
    # the first range that fits, from its top down: 0x3bfff000 - init_size, aligned down to 2 MiB
    assert places[Role.KERNEL].start == align_down(0x3BFFF000 - 0x3377000, 0x200000)
    assert places[Role.INITRD].end == places[Role.KERNEL].start


def test_high_first():
    places = by_role(loaded(Rule.HIGH_FIRST))
    assert places[Role.PURGATORY].end == 0x3EAA0000
    # 42 MiB above the table do not hold the kernel
    assert places[Role.KERNEL].end <= PAGE.start


def test_low_first_takes_the_lowest_range_that_fits():
    ram = (Range(0x100000, 0x10000000), Range(0x100000000, 0x200000000))
    assert by_role(loaded(Rule.LOW_FIRST, ram=ram))[Role.KERNEL].end <= 0x10000000
    assert by_role(loaded(Rule.HIGH_FIRST, ram=ram))[Role.KERNEL].start >= 0x100000000


def test_pref_address():
    """43b1d3e68ee7: a kernel below 16 MiB is possible only without it."""
    ram = (Range(0x100000, 0x100000 + 0x3600000), Range(0x8000000, 0x20000000))
    assert by_role(loaded(Rule.LOW_FIRST, ram=ram))[Role.KERNEL].start < NEEDS.pref_address
    assert by_role(loaded(Rule.LOW_FIRST, ram=ram, pref=True))[Role.KERNEL].start >= 0x8000000


def test_minimums():
    wanted = (segment(Role.KERNEL, 0x1000), segment(Role.INITRD, 0x1000))
    kernel, initrd = requests_of(wanted, dataclasses.replace(NEEDS, pref_address=0x1000), respect_pref_address=True)
    assert (kernel.minimum, initrd.minimum) == (MIN_KERNEL, MIN_INITRD)


def test_no_place():
    defect = place(RAM, [Request(Role.INITRD, 1, 0x40000000, 4096, 0)], Rule.LOW_FIRST)
    assert isinstance(defect, Defect)
    assert "no place for the initrd of 0x40000000 bytes" in defect.text


RAMS = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 60)), min_size=1, max_size=4).map(
    lambda gaps: tuple(
        Range.sized(sum(a + b for a, b in gaps[:index]) * 4096 + gap * 4096, size * 4096 + (index % 2) * 0xC58)
        for index, (gap, size) in enumerate(gaps)
    )
)
REQUESTS = st.lists(
    st.builds(
        Request,
        st.sampled_from(Role),
        st.integers(0, 4096),
        st.integers(1, 20 * 4096),
        st.sampled_from([1, 16, 4096, 8192, 65536]),
        st.sampled_from([0, 0x3000, 0x20000]),
    ),
    min_size=1,
    max_size=4,
)


def stepping(ram: tuple[Range, ...], requests: list[Request], rule: Rule) -> list[Range] | None:
    """locate_mem_hole_top_down() as it is in kernel/kexec_file.c: inclusive ends, page by page."""
    placed: list[tuple[int, int]] = []
    for request in requests:
        memsz = -(-request.memory_bytes // 4096) * 4096
        align = max(request.alignment_bytes, 4096)
        found = None
        for item in ram if rule is Rule.LOW_FIRST else reversed(ram):
            start, end = item.start, item.end - 1
            if end - start + 1 < memsz or end < request.minimum:
                continue
            here = end - memsz + 1
            while True:
                here = here // align * align
                if here < start or here < request.minimum:
                    break
                if any(here + memsz - 1 > low and here < high for low, high in placed):
                    here -= 4096
                    continue
                found = here
                break
            if found is not None:
                break
        if found is None:
            return None
        placed.append((found, found + memsz))
    return [Range(*item) for item in placed]


@given(RAMS, REQUESTS, st.sampled_from(Rule))
def test_the_model_and_the_kernels_loop_agree(ram: tuple[Range, ...], requests: list[Request], rule: Rule):
    placed = place(ram, requests, rule)
    expected = stepping(ram, requests, rule)
    assert (None if isinstance(placed, Defect) else [item.range for item in placed]) == expected


@given(RAMS, REQUESTS, st.sampled_from(Rule))
def test_placements_are_lawful(ram: tuple[Range, ...], requests: list[Request], rule: Rule):
    placed = place(ram, requests, rule)
    assume(not isinstance(placed, Defect))
    assert not isinstance(placed, Defect)
    for index, (item, request) in enumerate(zip(placed, requests, strict=True)):
        assert any(one.contains(item.range) for one in ram)
        assert item.range.start % max(4096, request.alignment_bytes) == 0
        assert item.range.start >= request.minimum
        assert not any(item.range.overlaps(other.range) for other in placed[:index])


def test_filled_joins_only_neighbours():
    assert filled(RAM, PAGE) == (*RAM[:2], Range(0x900000, 0x3EAA0000))
    split = (Range(0, 0x1C58), Range(0x1C58, 0x3000), Range(0x4000, 0x5000))
    assert filled(split, Range(0x3000, 0x4000)) == (Range(0, 0x1C58), Range(0x1C58, 0x5000))
    assert filled((), PAGE) == (PAGE,)


@pytest.mark.parametrize(("rule", "pref"), [(rule, pref) for rule in Rule for pref in (False, True)])
def test_the_reservation_kept_the_kernel_off_the_table(rule: Rule, pref: bool):
    actual = loaded(rule, pref=pref)
    result = counterfactual(RAM, PAGE, actual, NEEDS)
    assert result.proved
    assert result.overlapping is not None
    assert result.overlapping.range.contains(PAGE)
    assert "would lie at" in result.text
    assert str(PAGE) in result.text


def test_an_initrd_over_the_table():
    table = Range.sized(0x3A000100, 136)
    ram = (*RAM[:2], Range(0x900000, table.pages.start), Range(table.pages.end, 0x3EAA0000))
    # below the table there is room for both, above only for the kernel
    actual = loaded(Rule.HIGH_FIRST, ram=ram, initrd=46 * MIB)
    result = counterfactual(ram, table.pages, actual, NEEDS, table)
    assert result.overlapping is not None
    assert result.overlapping.role is Role.INITRD


def test_a_segment_that_was_elsewhere_proves_nothing():
    actual = list(loaded(Rule.LOW_FIRST))
    moved = dataclasses.replace(
        actual[3], range=Range.sized(actual[3].range.start - 0x1000, actual[3].range.size_bytes)
    )
    result = counterfactual(RAM, PAGE, (*actual[:3], moved), NEEDS)
    assert (result.model_agrees, result.proved, result.would_be) == (False, False, ())
    assert result.text.startswith("not proved: no placement rule")


def test_another_kernels_init_size_proves_nothing():
    wrong = dataclasses.replace(NEEDS, init_size_bytes=NEEDS.init_size_bytes + 0x200000)
    assert not counterfactual(RAM, PAGE, loaded(Rule.LOW_FIRST), wrong).model_agrees


def test_without_a_kernel_segment_nothing_is_proved():
    result = counterfactual(RAM, PAGE, (), NEEDS)
    assert (result.model_agrees, result.text) == (False, "not proved: no segment is known to be the kernel")


def test_a_table_out_of_reach():
    table = Range(0x2000000, 0x2001000)
    ram = (*RAM[:2], Range(0x900000, 0x2000000), Range(0x2001000, 0x3EAA0000))
    result = counterfactual(ram, table, loaded(Rule.HIGH_FIRST, ram=ram), NEEDS)
    assert result.model_agrees
    assert not result.proved
    assert "off 0x2000000-0x2000fff" in result.text


def test_rules_that_agree_on_reality_must_agree_on_the_conclusion():
    # Neither half of the lower range holds the kernel, so both rules chose the upper one. Without the hole low first
    # would come down on it and high first never would.
    hole = Range(0x8000000, 0x8001000)
    ram = (Range(0x5000000, hole.start), Range(hole.end, 0xB000000), Range(0x10000000, 0x30000000))
    actual = loaded(Rule.HIGH_FIRST, ram=ram, initrd=60 * MIB)
    assert by_role(actual)[Role.KERNEL] == by_role(loaded(Rule.LOW_FIRST, ram=ram, initrd=60 * MIB))[Role.KERNEL]
    result = counterfactual(ram, hole, actual, NEEDS)
    assert result.model_agrees
    assert not result.proved


def test_segments_of_other_roles_stay_where_they_are():
    blocker = Segment(0, 0x1000, Range(0x3BE00000, 0x3BE01000), Role.OTHER)
    wanted = requests_of(loaded(Rule.LOW_FIRST), NEEDS, respect_pref_address=False)
    placed = place(RAM, wanted, Rule.LOW_FIRST, (blocker.range,))
    assert not isinstance(placed, Defect)
    assert not any(item.range.overlaps(blocker.range) for item in placed)
    assert counterfactual(RAM, PAGE, (blocker, *placed), NEEDS).model_agrees
