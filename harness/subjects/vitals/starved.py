"""Panics that a starved host brings about in a kernel that is right."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.crash import Crash
from harness.model.plan import Accel
from harness.record.observations import Observations

TIMER = "IO-APIC + timer doesn't work!"
"""check_timer() waits for timer interrupts by the TSC, and panics when too few came (timer_irq_works(),
arch/x86/kernel/apic/io_apic.c). Under TCG the TSC is the host's clock and goes on while the virtual CPU waits for a
processor of the host, so on a loaded host they come too late. Seen once on 6.12, with ten runs on two processors."""
HINT = (
    "The virtual CPU got too little of the host. Run it again on a host that is less busy, or with -j 1; if it comes "
    "every time, it is the kernel."
)


def starved(observations: Observations, panic: str) -> bool:
    """Does this text of a panic rather say that the host was too slow?"""
    return TIMER in panic and observations.plan.accel is Accel.TCG


def starved_report(observations: Observations, report: Sequence[Crash]) -> bool:
    """The same of a whole report: it has no other crash."""
    return all(starved(observations, item.text) for item in report)
