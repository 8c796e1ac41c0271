"""A kernel as dom0 on Xen: what a scenario says of the hypervisor, and what must hold of firmware's tables there."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from harness.model.base import ExpectationValue, Value
from harness.model.kernel import HypervisorImage
from harness.model.words.tables import TableName


class HypervisorOptions(Value):
    """The hypervisor that firmware starts; the kernel is its dom0."""

    name: str = Field(description="A hypervisor of kernels/, by name.", examples=["xen-4.17"])
    mapbs: bool = Field(
        default=False,
        description="Start xen.efi with -mapbs: boot services memory is then kept, and mapped for firmware.",
    )
    cmdline: list[str] = Field(default_factory=list, description="More options for Xen itself.")


class HypervisorPlan(Value):
    """The hypervisor of one run, complete: the files of its EFI system partition."""

    image: HypervisorImage
    mapbs: bool = False
    load_options: str
    """What xen.efi is started with."""
    config: str
    """xen.cfg: Xen's command line, dom0's kernel with its own, and dom0's initramfs."""


class XenOutcome(StrEnum):
    """What becomes of a table of firmware's on the way to dom0."""

    MOVED = "moved"
    KEPT = "kept"
    REFUSED = "refused"
    INVALIDATED = "invalidated"
    UNREAD = "unread"


class XenTableOptions(Value):
    """One table, and what must become of it."""

    table: TableName = Field(description="The table.")
    outcome: XenOutcome = Field(
        description="moved: Xen copied it to memory that it keeps, the configuration table points to the copy, and the "
        "copy is what firmware wrote. kept: it lies where firmware left it, unchanged, in memory that Xen keeps. In "
        "both cases dom0 takes it from there and shows what it says. refused: it lies in memory that Xen does not "
        "keep, and dom0 calls it unusable. invalidated (BGRT): Xen took the image out of the ACPI table, and dom0 "
        "shows none. unread: its GUID says nothing to dom0."
    )


class XenTable(ExpectationValue):
    xen_table: XenTableOptions = Field(description="What became of a table, seen from outside and by dom0.")


class XenTablesProtected(ExpectationValue):
    xen_tables: Literal["protected"] = Field(
        description="dom0 takes no configuration table out of memory that Xen does not keep: each one that it names "
        "lies in memory of runtime services, ACPI or reserved, or is called unusable."
    )


class XenReused(ExpectationValue):
    xen_reused: TableName = Field(
        description="Proof that the run can find the bug at all: when dom0 was up, other bytes lay where firmware had "
        "left the table, else nothing was proved (ERROR)."
    )


XenExpectation = XenTable | XenTablesProtected | XenReused


def mistake(
    hypervisor: HypervisorOptions | None, steps: list[Any], expect: list[Any], possible: tuple[type, ...]
) -> str:
    """What makes no sense about a scenario with, or without, a hypervisor; empty when nothing is wrong.

    Args:
        possible: the steps that a dom0 can do.
    """
    asked = any(isinstance(item, XenExpectation) for item in expect)
    if hypervisor is None:
        return "xen_table, xen_tables and xen_reused need a hypervisor" if asked else ""
    if any(not isinstance(step, possible) for step in steps):
        return "with a hypervisor there are no steps but boot, kexec_refused and kexec: the others need bare hardware"
    return ""
