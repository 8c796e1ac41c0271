"""Each kernel finds the ACPI tables and processors."""

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
def acpi(copy_of: CopyOf) -> Copy:
    return expecting(copy_of(LEVELS), {"acpi_present": True})


def test_acpi_is_there(acpi: Copy) -> None:
    verdict = acpi.judge()
    assert verdict.status is Status.PASS
    assert verdict.headline == "each of 3 kernels found 7 ACPI tables and 2 CPUs"


def test_no_acpi_table(acpi: Copy, told: Told) -> None:
    name = acpi.fact_file(2, "acpi-tables")
    (acpi.path / name).write_text("absent\n")
    verdict_is(told(acpi.judge()), FAIL, Cause.ACPI_LOST, 2)


def test_one_acpi_table_less(acpi: Copy, told: Told) -> None:
    acpi.edit(acpi.fact_file(3, "acpi-tables"), "HPET\n", "")
    verdict_is(told(acpi.judge()), FAIL, Cause.ACPI_LOST, 3, "HPET")


def test_one_cpu(acpi: Copy, told: Told) -> None:
    acpi.edit(acpi.fact_file(2, "processors"), "online=0-1\n", "online=0\n")
    verdict_is(told(acpi.judge()), FAIL, Cause.ACPI_LOST, 2)


@pytest.mark.parametrize(
    "line",
    [
        "ACPI: Unable to load the System Description Tables",
        "ACPI BIOS Error (bug): A valid RSDP was not found (20220331/tbxfroot-210)",
    ],
)
def test_what_the_kernel_says_of_acpi(acpi: Copy, line: str) -> None:
    acpi.print(2, line)
    verdict_is(acpi.judge(), FAIL, Cause.ACPI_LOST, 2, line)


@pytest.mark.parametrize("name", ["acpi-tables", "processors"])
def test_acpi_not_reported(acpi: Copy, told: Told, name: str) -> None:
    acpi.drop(kind="fact", epoch=2, name=name)
    verdict_is(told(acpi.judge()), ERROR, Cause.MISSING_REPORT, 2)
