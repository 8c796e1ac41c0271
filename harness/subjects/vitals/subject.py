"""The row of what every run is held to: how it ended, and who each of its kernels is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.model.causes import Cause
from harness.model.kernel import Capability, KernelImage
from harness.model.scenario import Scenario
from harness.model.words.vitals import BootStep, NoCrash
from harness.subjects.claims import Always, Subject
from harness.subjects.vitals.console import check_console
from harness.subjects.vitals.crash import check_crash
from harness.subjects.vitals.ending import check_ending
from harness.subjects.vitals.identity import check_identity
from harness.subjects.vitals.setup import check_setup


def _needs(_scenario: Scenario, kernels: Sequence[KernelImage]) -> Iterator[tuple[KernelImage, Capability]]:
    return ((kernel, Capability.EFI) for kernel in kernels)


SUBJECT = Subject(
    name="vitals",
    causes=(
        *(Cause.PANIC, Cause.OOPS, Cause.SILENT_PANIC, Cause.RESET, Cause.SILENT_RESET, Cause.TRIPLE_FAULT),
        *(Cause.POWEROFF, Cause.HANG, Cause.BOOT_LOOP, Cause.BACK_IN_FIRMWARE, Cause.STUB_FAILED, Cause.NO_BOOT),
        *(Cause.OLD_KERNEL, Cause.WRONG_KERNEL, Cause.SETUP_NOT_PROVED, Cause.NO_CAPABILITY),
        *(Cause.NO_CONSOLE, Cause.STALLED_CONSOLE, Cause.MISSING_REPORT, Cause.BAD_RECORD),
        *(Cause.AGENT_LOST, Cause.AGENT_ERROR, Cause.GUEST_ERROR),
        *(Cause.PORT_LOST, Cause.CLOCK_SKEW, Cause.QEMU_DIED, Cause.HOST, Cause.INTERRUPTED, Cause.INTERNAL),
        Cause.KNOWN_ISSUE_GONE,
    ),
    expectations={NoCrash: lambda _item: [("no_crash", check_crash)]},
    always=(
        Always(0, "run", check_ending),
        Always(10, "setup", check_setup),
        Always(40, "identity", check_identity),
        Always(70, "console", check_console),
    ),
    steps=(BootStep,),
    needs=_needs,
)
