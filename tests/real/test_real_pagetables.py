"""The page tables of a stock kernel, which has no debugfs file for them, and of one that never calls firmware."""

from __future__ import annotations

from harness.model.causes import Cause, Status

from .conftest import Range

NAME = "efi_page_tables: no-global"


def test_a_stock_kernels_tables_are_walked_from_outside(machines: Range) -> None:
    ran = machines.run(machines.plan("pagetable/no-global"))
    assert ran.verdict.status is Status.PASS, ran.verdict.headline
    assert "the hook's own code 0xffffff" in ran.evidence(NAME)
    assert "no page_tables/efi in debugfs" in ran.evidence(NAME)
    assert any("page-tables" in path.name for path in (ran.directory / "samples").iterdir())


def test_a_kernel_that_never_calls_firmware_is_unsupported(machines: Range) -> None:
    plan = machines.plan("pagetable/no-global")
    (epoch,) = plan.epochs
    mute = epoch.model_copy(update={"cmdline": f"{epoch.cmdline} efi=noruntime"})
    ran = machines.run(plan.model_copy(update={"epochs": (mute,)}))
    assert (ran.verdict.status, ran.verdict.cause) == (Status.UNSUPPORTED, Cause.NO_CAPABILITY)
    assert "firmware is never called" in ran.check(NAME).summary
