"""The directory that QEMU shows to firmware as the hypervisor's EFI system partition."""

from __future__ import annotations

from pathlib import Path

from harness.model.plan import Plan
from harness.subjects.xen import plan as xenplan


def create(directory: Path, plan: Plan) -> None:
    """Make it in the run directory; nothing for a run without hypervisor. Big files are links, so it takes no room.

    Raises:
        OSError: it cannot be written.
    """
    if plan.hypervisor is None:
        return
    esp = directory / xenplan.DIRECTORY
    esp.mkdir()
    for name, target in xenplan.links(plan).items():
        (esp / name).symlink_to(target)
    (esp / xenplan.CONFIG_FILE).write_text(plan.hypervisor.config, encoding="ascii")
