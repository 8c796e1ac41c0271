"""Does the run prove anything: would a kexec segment have covered the table?"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.damage import PASSED
from support.records import Copy, Edit
from support.verdicts import verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED


def _off_the_table(copy: Copy) -> None:
    """Kernel and initrd where neither model nor kernel would have put them."""
    for epoch in (1, 2):
        copy.edit(copy.fact_file(epoch, "kexec-klog"), "0x33f38000", "0x23f38000")


OVERLAPS: dict[str, tuple[str, Edit]] = {
    "elsewhere": (PASSED, _off_the_table),
    "klog-gone": (
        PASSED,
        lambda copy: copy.drop(kind="fact", name="kexec-klog", epoch=1),
    ),
    "klog-empty": (
        PASSED,
        lambda copy: (copy.path / copy.fact_file(1, "kexec-klog")).write_bytes(b""),
    ),
    "iomem-gone": (
        PASSED,
        lambda copy: copy.drop(kind="fact", name="iomem", epoch=1),
    ),
    "tool-says-nothing": (
        "kexec-add-efi-memmap",
        lambda copy: (copy.path / str(copy.only(kind="loaded", epoch=1)["body_file"])).write_bytes(b"\n"),
    ),
}


@pytest.mark.parametrize("case", OVERLAPS)
def test_no_overlap(copy_of: CopyOf, told: Told, case: str) -> None:
    name, edit = OVERLAPS[case]
    copy = copy_of(name)
    edit(copy)
    verdict_is(told(copy.judge()), ERROR, Cause.NO_OVERLAP, 1, "0x39fff100")


def test_segments_moved_off_an_intact_table(copy_of: CopyOf) -> None:
    """kexec_load with its initrd below the table: the table is intact, and that proves nothing."""
    copy = copy_of("esrt-kexec-load-6.1").heal("samples/2-up-esrt.bin")
    copy.edit(str(copy.only(kind="loaded")["body_file"]), "0x38938000", "0x30938000")
    (copy.path / copy.fact_file(2, "esrt")).write_text(copy.read(copy.fact_file(1, "esrt")))
    verdict_is(copy.judge(), ERROR, Cause.NO_OVERLAP, 1)


def test_memory_that_is_never_ram(copy_of: CopyOf, told: Told) -> None:
    """In EfiRuntimeServicesData no segment could ever come near the table: the control must not claim that."""
    copy = copy_of("esrt-runtime-data")
    plan = copy.json("plan.json")
    plan["scenario"]["expect"].append({"kexec_would_overlap": "esrt"})
    copy.edit_json("plan.json", scenario=plan["scenario"])
    verdict_is(
        told(copy.judge()),
        ERROR,
        Cause.NO_OVERLAP,
        1,
        "RuntimeServicesData",
    )


@pytest.mark.parametrize(
    "edit",
    [
        lambda copy: copy.drop(kind="loaded", epoch=2),
        lambda copy: copy.change({"fields": {"rc": "1"}}, kind="loaded", epoch=2),
    ],
    ids=["gone", "failed"],
)
def test_one_kexec_of_two_is_known(copy_of: CopyOf, told: Told, edit: Edit) -> None:
    copy = copy_of(PASSED)
    edit(copy)
    verdict_is(told(copy.judge()), ERROR, Cause.MISSING_REPORT, 3)
