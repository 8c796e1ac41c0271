"""harness.fuzz without a machine: a kernel that is only a function is tried instead"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from evidence.fake_kernel import FIRMWARE, MIB, before_5_6, entry, good

from harness.errors import HostError, InputError
from harness.evidence.faking.compare import compare
from harness.evidence.faking.entries import SPECIFIC_PURPOSE, FakeEntry, cmdline_parameter
from harness.evidence.maps.efimap import EfiRegion
from harness.fuzz.campaign import Found, Outcome, Result, search
from harness.fuzz.entries import MAX_ENTRIES, Entries, allowed, generate, shrink
from harness.fuzz.fake_mem import write_scenario
from harness.load import load_files
from harness.model.words.fakemem import FakeMemExact, SoftReservedExact

Kernel = Callable[[Sequence[EfiRegion], Sequence[FakeEntry]], list[EfiRegion | None]]


class Trial:
    """Runs a command line on a kernel that is a function."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.tried: list[Entries] = []

    def __call__(self, which: str, entries: Entries) -> Outcome:
        self.tried.append(entries)
        return Outcome.FAILS if compare(self.kernel(FIRMWARE, entries), FIRMWARE, entries) else Outcome.HOLDS


@pytest.mark.parametrize("seed", range(20))
def test_the_bug_of_5_5_is_found_within_30_runs_and_shrunk_to_two_entries(seed: int) -> None:
    trial = Trial(before_5_6)
    result = search(trial, FIRMWARE, runs=30, seed=seed)
    assert result.found is not None
    assert result.found.run <= 30
    assert len(result.found.smallest) == 2
    assert compare(before_5_6(FIRMWARE, result.found.smallest), FIRMWARE, result.found.smallest)
    assert len(cmdline_parameter(result.found.smallest)) <= len("efi_fake_mem=256M@4096M:0x40000,256M@4096M:0x40000")
    assert len(trial.tried) == result.found.run + result.found.trials


def test_nothing_is_found_on_a_right_kernel() -> None:
    trial = Trial(good)
    assert search(trial, FIRMWARE, runs=100, seed=1) == Result(100, 0, None)
    assert len(set(trial.tried)) > 90


def test_the_same_seed_tries_the_same() -> None:
    first, again, other = Trial(good), Trial(good), Trial(good)
    search(first, FIRMWARE, runs=20, seed=7)
    search(again, FIRMWARE, runs=20, seed=7)
    search(other, FIRMWARE, runs=20, seed=8)
    assert first.tried == again.tried != other.tried


def test_runs_without_an_answer_are_counted_and_three_in_a_row_end_it() -> None:
    answers = iter([Outcome.UNKNOWN, Outcome.HOLDS, Outcome.UNKNOWN, Outcome.UNKNOWN, Outcome.HOLDS])
    assert search(lambda _which, _entries: next(answers), FIRMWARE, runs=5, seed=1) == Result(5, 3, None)
    with pytest.raises(HostError, match="3 runs in a row"):
        search(lambda _which, _entries: Outcome.UNKNOWN, FIRMWARE, runs=5, seed=1)


def test_generated_entries_lie_where_they_may() -> None:
    rng = random.Random(3)  # noqa: S311
    places = allowed(FIRMWARE)
    borders = {address for region in FIRMWARE for address in (region.range.start, region.range.end)}
    near = 0
    for _ in range(300):
        entries = generate(rng, FIRMWARE)
        assert 1 <= len(entries) <= MAX_ENTRIES
        soft = sum(item.range.size_bytes for item in entries if item.attributes & SPECIFIC_PURPOSE)
        assert soft <= 512 * MIB
        for item in entries:
            assert any(where.contains(item.range) for where in places), item
            near += bool({item.range.start, item.range.end} & borders)
    assert near > 300


def test_runtime_memory_and_the_first_megabytes_are_left_alone() -> None:
    places = allowed(FIRMWARE)
    assert places[0].start == 32 * MIB
    assert [(where.start // MIB, where.end // MIB) for where in places] == [(32, 2000), (2002, 2048), (4096, 5120)]


def test_shrinking_asks_nothing_twice_and_keeps_to_its_budget() -> None:
    entries = tuple(entry(f"{4096 + 12 * n}K@{4100 + 8 * n}M:0x48000") for n in range(8))
    asked: list[Entries] = []

    def fails(smaller: Entries) -> bool:
        asked.append(smaller)
        return entries[2] in smaller and entries[5] in smaller

    assert shrink(entries, fails) == (entries[2], entries[5])
    assert len(asked) == len(set(asked))
    asked.clear()
    assert len(shrink(entries, fails, budget=3)) > 2
    assert len(asked) == 3


def test_what_was_found_is_a_scenario_that_loads(tmp_path: Path) -> None:
    two = (entry("256M@4608M:0x40000"), entry("256M@4864M:0x40000"))
    path, name = write_scenario(tmp_path / "new", Found(4, two, two, 9), FIRMWARE, kernel="tiny-6.1", seed=3)
    (variant,) = load_files([path])
    assert variant.id == f"{name}[tiny-6.1,ovmf-x64]" == "fake-mem/found-3-4[tiny-6.1,ovmf-x64]"
    assert variant.scenario.cmdline[1] == "efi_fake_mem=256M@4608M:0x40000,256M@4864M:0x40000"
    assert {type(item) for item in variant.scenario.expect} >= {FakeMemExact, SoftReservedExact}


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_scenario(tmp_path / "file", Found(1, (), (entry("4K@4G:1"),), 0), FIRMWARE, kernel="tiny-6.1", seed=1)
