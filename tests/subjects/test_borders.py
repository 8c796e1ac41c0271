"""At which borders a run must have been sampled."""

from __future__ import annotations

import itertools

import pytest
from support.synthetic import kernel, plan, prepared, scenario

from harness.model.record import Point
from harness.record.observations import Observations
from harness.record.record import Record
from harness.subjects.borders import unsampled

ALL = {(1, Point.UP), (1, Point.LOADED), (2, Point.UP), (2, Point.LOADED), (3, Point.UP)}


def observations(*without_initrd: int, epochs: int = 3) -> Observations:
    steps = [{"boot": {}}, *[{"kexec": {"syscall": "file"}}] * (epochs - 1)]
    made = plan(scenario(firmware={}, steps=steps, expect=[{"no_crash": True}]), prepared([kernel()] * epochs))
    changed = [epoch.model_copy(update={"without_initrd": epoch.number in without_initrd}) for epoch in made.epochs]
    made = made.model_copy(update={"epochs": tuple(changed)})
    return Observations(Record(made, None, (), lambda _name: b"", lambda _path, _offset, _size: None))


def test_nothing_is_missing() -> None:
    assert unsampled(observations(), ALL) == ()
    assert unsampled(observations(), {*ALL, (0, Point.HANDOFF), (3, Point.END)}) == ()


@pytest.mark.parametrize("border", sorted(ALL))
def test_each_one_may_be(border: tuple[int, Point]) -> None:
    assert unsampled(observations(), ALL - {border}) == (f"{border[0]} ({border[1]})",)


def test_they_are_named_in_order() -> None:
    assert unsampled(observations(), ()) == ("1 (up)", "1 (loaded)", "2 (up)", "2 (loaded)", "3 (up)")
    assert unsampled(observations(epochs=1), ()) == ("1 (up)",)


def test_a_kernel_without_an_initrd_has_none() -> None:
    assert unsampled(observations(3), ()) == ("1 (up)", "1 (loaded)", "2 (up)", "2 (loaded)")
    for taken in itertools.combinations(ALL, 2):
        assert not [name for name in unsampled(observations(3), taken) if name.startswith("3")]
