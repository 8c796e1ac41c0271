"""The factor for the budgets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cache import Cache
from harness.host import speed
from harness.host.probe import Host
from harness.host.speed import MAX_FACTOR, REFERENCE_CPU_S, calibrate, host_speed, load_factor, speed_now
from harness.host.start import Start
from harness.model.plan import FirmwareFiles


def took(cpu_s: float, *, alive: bool = True) -> Callable[[], Start]:
    return lambda: Start(alive, "", 99.0, cpu_s)


def refuse() -> Start:
    raise AssertionError("measured again")


@pytest.mark.parametrize(
    ("load", "jobs", "cores", "factor"),
    [(0, 1, 2, 1.0), (1, 1, 2, 1.0), (3, 1, 2, 2.0), (0, 4, 2, 2.0), (8, 1, 0, 9.0)],
)
def test_load_counts_once_the_cores_are_taken(load: float, jobs: int, cores: int, factor: float) -> None:
    assert load_factor(load, jobs, cores) == factor


@pytest.mark.parametrize(
    ("machine", "load", "factor"),
    [(0.3, 0, 1.0), (1.0, 0, 1.0), (2.5, 0, 2.5), (2.0, 3, 4.0), (0.5, 3, 2.0), (50, 50, 10)],
)
def test_factor_is_machine_times_moment_within_bounds(machine: float, load: float, factor: float) -> None:
    assert host_speed(machine, load, 1, 2).factor == factor


def test_reason_has_the_figures() -> None:
    assert host_speed(1.46, 3.2, 2, 4).reason == "machine 1.5 x the reference, load 3.2 and 2 at a time on 4 cores"


def test_speed_now_looks_at_the_load(make_host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed.os, "getloadavg", lambda: (5.0, 0.0, 0.0))
    assert speed_now(1.0, make_host(cores=2)).factor == 3.0
    assert speed_now(1.0, make_host(cores=2), jobs=3).factor == 4.0


def test_machine_is_measured_once(make_host: Callable[..., Host], firmware: FirmwareFiles, tmp_path: Path) -> None:
    host = make_host()
    assert calibrate(host, firmware, Cache(tmp_path), start=took(REFERENCE_CPU_S * 2)) == pytest.approx(2.0)
    assert calibrate(host, firmware, Cache(tmp_path), start=refuse) == pytest.approx(2.0)
    assert calibrate(make_host(cpu_model="other"), firmware, Cache(tmp_path), start=took(1.2)) == pytest.approx(0.5)


@pytest.mark.parametrize("start", [took(0.0), took(3.0, alive=False)])
def test_failed_measurement_is_the_largest_factor_and_is_not_kept(
    make_host: Callable[..., Host], firmware: FirmwareFiles, tmp_path: Path, start: Callable[[], Start]
) -> None:
    assert calibrate(make_host(), firmware, Cache(tmp_path), start=start) == MAX_FACTOR
    assert calibrate(make_host(), firmware, Cache(tmp_path), start=took(REFERENCE_CPU_S)) == pytest.approx(1.0)
