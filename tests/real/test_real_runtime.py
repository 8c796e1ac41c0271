"""Firmware that misbehaves under a stock kernel, and a kernel that never calls it."""

from __future__ import annotations

from harness.model.causes import Cause, Status

from .conftest import Range


def test_a_stock_kernel_contains_a_page_fault(machines: Range) -> None:
    ran = machines.run(machines.plan("runtime/fault-query-variable-info"))
    assert ran.verdict.status is Status.PASS, ran.verdict.headline
    assert "Page fault caused by firmware at PA: 0x" in ran.evidence("runtime_fault")
    assert "reset" in ran.check("reboot").summary
    assert sum("-logbook-" in path.name for path in (ran.directory / "samples").iterdir()) == 8


def test_a_kernel_without_runtime_services_is_unsupported(machines: Range) -> None:
    plan = machines.plan("runtime/fault-query-variable-info")
    (epoch,) = plan.epochs
    mute = epoch.model_copy(update={"cmdline": f"{epoch.cmdline} efi=noruntime"})
    ran = machines.run(plan.model_copy(update={"epochs": (mute,)}))
    assert (ran.verdict.status, ran.verdict.cause) == (Status.UNSUPPORTED, Cause.NO_CAPABILITY)
    assert "offers no EFI variables" in ran.check("runtime_fault").summary
