"""The benchmark's own arithmetic, on recorded runs."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.recorded import laid_out

from benchmarks import latency
from benchmarks.latency import BenchError, decisive_s, moment_s, percentiles
from harness.record.store import read_record
from harness.selftest.cases import CASES


def times(name: str) -> Iterator[dict[str, object]]:
    for line in (laid_out(name) / "journal.jsonl").read_text().splitlines():
        yield json.loads(line)


@pytest.mark.parametrize(
    ("name", "event"), [("selftest-reset", "SHUTDOWN"), ("selftest-silent-panic", "GUEST_PANICKED")]
)
def test_the_event_that_decides(name: str, event: str) -> None:
    (wanted,) = [entry["t_s"] for entry in times(name) if entry.get("name") == event][:1]
    assert decisive_s(read_record(laid_out(name))) == wanted


def test_firmware_again_decides() -> None:
    ready = [entry["t_s"] for entry in times("selftest-back-in-firmware") if entry.get("kind") == "ready"]
    assert len(ready) == 2
    assert decisive_s(read_record(laid_out("selftest-back-in-firmware"))) == ready[1]


def test_an_end_without_an_event() -> None:
    record = read_record(laid_out("selftest-qemu-killed"))
    with pytest.raises(BenchError):
        decisive_s(record)
    assert moment_s(record) == record.phases[-1].t_s


def test_percentiles() -> None:
    assert percentiles([0.3, 0.1, 0.2]) == {"median": 0.2, "p90": 0.3, "max": 0.3}
    assert percentiles([1.0]) == {"median": 1.0, "p90": 1.0, "max": 1.0}
    many = [number / 100 for number in range(100)]
    assert percentiles(many) == {"median": 0.495, "p90": 0.9, "max": 0.99}


def test_its_events_are_damage_classes() -> None:
    assert set(latency.EVENTS) <= {case.name for case in CASES}
