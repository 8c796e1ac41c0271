"""Plans and demands of scenarios that crash a kernel."""

from __future__ import annotations

from typing import Any

import pytest
from support.synthetic import NONCE, kernel, plan, prepared, scenario

from harness.evidence.maps import iomem
from harness.evidence.ranges import Range
from harness.model.base import StepValue
from harness.model.kernel import Capability
from harness.model.words.kdump import TRIGGERS, CrashTrigger, task_name
from harness.plan.gate import refusal
from harness.subjects.kdump.groundtruth import sampled_ranges


def kdump(by: str = "sysrq", **capture: Any) -> dict[str, Any]:
    return {
        "machine": {"memory": "512MiB"},
        "firmware": {"tables": []},
        "steps": [
            {"boot": {"cmdline": ["crashkernel=192M"]}},
            {"crash_kernel": {"syscall": "file", "cmdline": ["more"]}},
            {"crash": {"by": by}},
            {"capture": capture},
        ],
        "expect": ["kdump_clean", "no_crash"],
    }


def test_the_plan_of_a_kdump() -> None:
    made = plan(scenario(**kdump()), prepared([kernel()] * 2))
    first, second = made.epochs
    assert [epoch for epoch, _ in made.steps(StepValue)] == [0, 1, 1, 2]
    assert "crashkernel=192M" in first.cmdline
    assert "reset_devices" not in first.cmdline
    assert " more nr_cpus=1 reset_devices harness.nonce=" in second.cmdline
    assert "crashkernel" not in second.cmdline
    assert made.vmcore_disk_bytes > made.scenario.machine.memory
    drives = [word for word in made.argv if "vmcore" in word]
    assert len(drives) == 2
    assert "file={run}/vmcore.disk" in drives[0]
    assert "readonly" not in drives[0]
    assert "serial=vmcore" in drives[1]


def test_no_disk_without_a_capture() -> None:
    made = plan(scenario(), prepared([kernel()] * 2))
    assert made.vmcore_disk_bytes == 0
    assert not any("vmcore" in word for word in made.argv)


@pytest.mark.parametrize(
    ("by", "lacking", "which", "asked"),
    [
        ("sysrq", Capability.SYSRQ, 0, True),
        ("sysrq", Capability.SYSRQ, 1, False),
        ("sysrq", Capability.LKDTM, 0, False),
        ("nmi", Capability.SYSRQ, 0, False),
        ("null-deref", Capability.LKDTM, 0, True),
        ("sysrq-in-irq", Capability.SYSRQ_SERIAL, 0, True),
        ("sysrq", Capability.CRASH_DUMP, 1, True),
        ("sysrq", Capability.CRASH_DUMP, 0, False),
        ("sysrq", Capability.KEXEC_FILE_LOAD, 0, True),
    ],
)
def test_what_is_asked_of_the_kernels(by: str, lacking: Capability, which: int, asked: bool) -> None:
    kernels = [kernel(lacks=[lacking] if number == which else []) for number in range(2)]
    found = refusal(scenario(**kdump(by)), kernels)
    assert (found.capability if found else None) == (lacking if asked else None)


def test_every_trigger_is_known_by_its_report() -> None:
    assert set(TRIGGERS) == set(CrashTrigger)
    assert all(trigger.report for trigger in TRIGGERS.values())
    assert len(task_name(NONCE)) <= 15  # TASK_COMM_LEN, with the NUL


def rows(text: str) -> tuple[iomem.Resource, ...]:
    found = iomem.parse_iomem(text)
    assert isinstance(found, tuple)
    return found


def test_what_is_sampled_is_ram_without_the_crash_region() -> None:
    found = sampled_ranges(
        rows(
            "00001000-0009fbff : System RAM\n"
            "000f0000-000fffff : System ROM\n"
            "00100000-3fffffff : System RAM\n"
            "  01000000-01ffffff : Kernel code\n"
            "  10000000-1bffffff : Crash kernel\n"
            "  30000000-30ffffff : Crash kernel\n"
            "40000000-400007ff : System RAM\n"
            "50000000-5fffffff : Soft Reserved\n"
        )
    )
    assert found == (
        Range(0x1000, 0x9F000),
        Range(0x100000, 0x10000000),
        Range(0x1C000000, 0x30000000),
        Range(0x31000000, 0x40000000),
    )


def test_a_split_in_the_middle_of_a_page_hides_no_page() -> None:
    """As setup_data makes them; from a run with an option ROM."""
    text = "00900000-1e3e2017 : System RAM\n1e3e2018-1e41ee57 : System RAM\n1e41ee58-1e4eefff : System RAM\n"
    assert sampled_ranges(rows(text)) == (Range(0x900000, 0x1E4EF000),)


def test_a_region_at_the_end_of_ram() -> None:
    text = "00100000-0fffffff : System RAM\n  08000000-0fffffff : Crash kernel\n"
    assert sampled_ranges(rows(text)) == (Range(0x100000, 0x8000000),)
