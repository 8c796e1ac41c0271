"""EFI runtime regions are handed on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.damage import expecting
from support.records import Copy
from support.verdicts import verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED
LEVELS = "seams-five-levels"
"""Three kernels by kexec_file_load, two CPUs; the second has no5lvl."""


@pytest.fixture
def runtime_map(copy_of: CopyOf) -> Copy:
    return expecting(copy_of(LEVELS), {"runtime_map": "kept"})


def test_the_runtime_map_is_handed_on(runtime_map: Copy) -> None:
    verdict = runtime_map.judge()
    assert verdict.status is Status.PASS
    assert verdict.headline.endswith("EFI runtime regions, the same in all 3 kernels")


@pytest.mark.parametrize("epoch", [2, 3])
@pytest.mark.parametrize(
    ("name", "value"), [("virt_addr", "0xfffffffefe000000"), ("attribute", "0xf"), ("num_pages", "0x99")]
)
def test_a_runtime_region_changes(runtime_map: Copy, told: Told, epoch: int, name: str, value: str) -> None:
    fact = runtime_map.path / runtime_map.fact_file(epoch, "runtime-map")
    lines = fact.read_text().splitlines()
    words = [f"{name}={value}" if word.startswith(f"{name}=") else word for word in lines[-1].split()]
    fact.write_text("\n".join([*lines[:-1], " ".join(words)]) + "\n")
    verdict_is(told(runtime_map.judge()), FAIL, Cause.RUNTIME_MAP_CHANGED, epoch, f"{name}={value}")


def test_a_runtime_region_is_not_handed_on(runtime_map: Copy, told: Told) -> None:
    fact = runtime_map.path / runtime_map.fact_file(2, "runtime-map")
    fact.write_text("".join(fact.read_text().splitlines(keepends=True)[:-1]))
    verdict_is(told(runtime_map.judge()), FAIL, Cause.RUNTIME_MAP_CHANGED, 2)


def test_no_efi_after_a_kexec(runtime_map: Copy, told: Told) -> None:
    (runtime_map.path / runtime_map.fact_file(2, "runtime-map")).write_text("")
    verdict_is(told(runtime_map.judge()), FAIL, Cause.RUNTIME_MAP_CHANGED, 2)


@pytest.mark.parametrize("epoch", [1, 2])
def test_no_runtime_map_reported(runtime_map: Copy, told: Told, epoch: int) -> None:
    runtime_map.drop(kind="fact", epoch=epoch, name="runtime-map")
    verdict_is(told(runtime_map.judge()), ERROR, Cause.MISSING_REPORT, epoch)
