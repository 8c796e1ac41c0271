"""Expectations about what one kernel hands to the next that could not be met, or not be broken, are refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from harness.model.scenario import Scenario

KEXEC = {"kexec": {"syscall": "file"}}
CRASH: list[Any] = [{"crash_kernel": {"syscall": "file"}}, {"crash": {"by": "sysrq"}}, {"capture": {}}]


def scenario(expect: object, *steps: object, **values: object) -> Scenario:
    data = {"id": "a/b", "why": "x", "kernel": "debian-6.1", "steps": ["boot", *steps], "expect": [expect], **values}
    return Scenario.model_validate(data, strict=False)


@pytest.mark.parametrize(
    ("expect", "steps", "values", "message"),
    [
        ("acpi_present", [KEXEC], {}, "acpi_present needs machine: {cpus: 2} or more"),
        ("e820_stable", [KEXEC], {"machine": {"cpus": 2}}, "e820_stable needs two kexec steps or more"),
        ({"runtime_map": "kept"}, [], {}, "runtime_map needs a kexec step"),
        ({"crash_region": "kept"}, [KEXEC], {}, "crash_region needs crashkernel= on a command line"),
        ({"paging_levels": [5]}, [KEXEC], {}, "paging_levels needs one number for each of the 2 kernels"),
        ({"paging_levels": [5, 4]}, CRASH[:0], {}, "paging_levels needs one number for each of the 1 kernels"),
        ({"paging_levels": [5, 5]}, [KEXEC, *CRASH], {}, "each of the 3 kernels"),
        ({"boot_services_memory": "freed"}, [], {"cmdline": ["efi=debug"]}, "cannot be seen with noefi or efi=debug"),
    ],
)
def test_what_proves_nothing_is_refused(expect: object, steps: list[Any], values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        scenario(expect, *steps, **values)


@pytest.mark.parametrize(
    ("expect", "steps", "values"),
    [
        ("acpi_present", [KEXEC], {"machine": {"cpus": 2}}),
        ("e820_stable", [KEXEC, KEXEC], {}),
        ({"crash_region": "kept"}, [KEXEC], {"cmdline": ["crashkernel=192M"]}),
        ({"crash_region": "kept"}, [{"kexec": {"syscall": "file", "cmdline": ["crashkernel=192M"]}}], {}),
        ({"paging_levels": [5, 4, 5]}, [KEXEC, *CRASH], {"cmdline": ["crashkernel=192M"]}),
        ({"boot_services_memory": "freed"}, [], {}),
    ],
)
def test_what_can_be_seen_is_accepted(expect: object, steps: list[Any], values: dict[str, Any]) -> None:
    scenario(expect, *steps, **values)
