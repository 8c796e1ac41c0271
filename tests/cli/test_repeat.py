"""Runs that are made more than once: after a fault of the host, and with --repeat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from fakes import fake_guest as guest
from fakes.fake_guest import script
from fakes.fake_host import Done, FakeHost

VARIANT = "fake/one[fake,ovmf-x64]"
GOOD = script(*guest.whole_run())
PANIC = script(guest.ready(), guest.agent(), guest.start(), [{"console": "Kernel panic - not syncing: fake\r\n"}])
DEAD = {"steps": [{"exit": 7}]}
DEAD_LATER = script(guest.ready(), guest.agent(), guest.start(), [{"exit": 7}])


def play(host: FakeHost, *scripts: dict[str, Any], words: tuple[str, ...] = ()) -> Done:
    """``harness run``, each of its runs with a script of its own."""
    place = host.root / "scripts"
    place.mkdir()
    nonces = [f"00ff{number:04x}" for number in range(len(scripts))]
    for nonce, item in zip(nonces, scripts, strict=True):
        (place / f"{nonce}.json").write_text(json.dumps(item))
    host.environment["FAKE_QEMU"] = str(place)
    with patch("harness.session.session.secrets.token_hex", side_effect=nonces):
        return host.harness("run", "-j1", "--json", "out.json", *words)


def document(host: FakeHost) -> Any:
    return json.loads((host.root / "cwd/out.json").read_text())


def test_a_host_that_fails_once_before_a_kernel_is_tried_again(host: FakeHost) -> None:
    done = play(host, DEAD, GOOD)
    assert (done.status, done.message) == (0, "")
    (verdict,) = document(host)["verdicts"]
    assert verdict["status"] == "PASS"
    (attempt,) = verdict["attempts"]
    assert (attempt["status"], attempt["cause"]) == ("ERROR", "qemu-died")
    assert Path(attempt["run_dir"]) in host.runs
    assert "this is the second attempt; the first ended with ERROR qemu-died" in done.out
    stored = json.loads((Path(verdict["run_dir"]) / "verdict.json").read_text())
    assert stored == verdict
    assert len(host.runs) == 2


def test_twice_is_enough(host: FakeHost) -> None:
    done = play(host, DEAD, DEAD)
    assert done.status == 3
    (verdict,) = document(host)["verdicts"]
    assert (verdict["status"], verdict["cause"], len(verdict["attempts"])) == ("ERROR", "qemu-died", 1)


@pytest.mark.parametrize(("first", "status"), [(DEAD_LATER, 3), (PANIC, 1)], ids=["kernel started", "fail"])
def test_what_may_be_the_kernels_doing_is_never_tried_again(host: FakeHost, first: dict[str, Any], status: int) -> None:
    done = play(host, first)
    assert done.status == status
    assert document(host)["verdicts"][0]["attempts"] == []
    assert len(host.runs) == 1


def test_sometimes_red_is_flaky(host: FakeHost) -> None:
    done = play(host, GOOD, PANIC, GOOD, words=("--repeat", "3"))
    assert done.status == 1
    assert f"FLAKY       {VARIANT}: 2 PASS, 1 FAIL panic in 3 runs" in done.out
    found = document(host)
    assert [verdict["status"] for verdict in found["verdicts"]] == ["PASS", "FAIL", "PASS"]
    (flaky,) = found["flaky"]
    assert (flaky["variant"], flaky["runs"], flaky["as_expected"]) == (VARIANT, 3, 2)
    assert flaky["counts"] == {"PASS": 2, "FAIL panic": 1}


def test_always_green_is_not_flaky(host: FakeHost) -> None:
    done = play(host, GOOD, GOOD, words=("--repeat", "2"))
    assert (done.status, done.message) == (0, "")
    assert "FLAKY" not in done.out
    assert document(host)["flaky"] == []
    assert len(host.runs) == 2


@pytest.mark.parametrize("value", ["0", "-1", "x", "10001"])
def test_a_number_that_cannot_be_meant(host: FakeHost, value: str) -> None:
    assert host.harness("run", f"--repeat={value}").status == 2
    assert host.runs == []
