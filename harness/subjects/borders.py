"""The borders at which a run's memory is sampled: what was the same at all of them was seen at all of them."""

from __future__ import annotations

from collections.abc import Collection

from harness.model.record import Point
from harness.record.observations import Observations


def unsampled(observations: Observations, taken: Collection[tuple[int, Point]]) -> tuple[str, ...]:
    """The planned borders after the hand-off that are not in ``taken`` (epoch and point), in words: ``2 (up)``.

    A kernel without an initrd cannot report that it is up, so it has no borders; the last one loads no other.
    """
    epochs = observations.plan.epochs
    able = [epoch.number for epoch in epochs if not epoch.without_initrd]
    borders = [(number, point) for number in able for point in (Point.UP, Point.LOADED)]
    last = (epochs[-1].number, Point.LOADED)
    return tuple(f"{number} ({point})" for number, point in borders if (number, point) not in {*taken, last})
