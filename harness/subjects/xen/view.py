"""A run on Xen as the record shows it: where each table went, what Xen keeps, what dom0 names. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from harness.evidence import klog, xen
from harness.evidence.maps import efimap
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.ranges import Range
from harness.evidence.tables.configtable import ConfigTables, parse_array
from harness.evidence.tables.kinds import KINDS
from harness.model.plan import Plan
from harness.model.record import Point, SampleEntry
from harness.model.words.tables import TableName
from harness.record.observations import Baseline, Observations

CONFIG_TABLES = "config-tables"
BGRT_TABLE = "bgrt-table"


def guid_of(plan: Plan, name: TableName) -> str:
    """The GUID of a table in the configuration table; empty for one that is not there itself (BGRT)."""
    planned = next((table.guid for table in plan.tables if table.name is name), "")
    return planned or KINDS[name].guid


def copy_of(name: TableName) -> str:
    """The subject of samples of what the configuration table points to instead of the table that firmware left."""
    return f"{name}-copy"


@dataclass(frozen=True)
class XenView:
    """What is known of a run on Xen, decoded once for its checks."""

    observations: Observations

    @cached_property
    def lines(self) -> tuple[klog.Line, ...]:
        return self.observations.epoch_lines(1)

    @cached_property
    def efi_map(self) -> tuple[EfiRegion, ...]:
        """As Xen printed it; empty when it did not."""
        return xen.efi_map(self.lines)

    @cached_property
    def listed(self) -> tuple[xen.Listed, ...]:
        """The tables that dom0 names."""
        return xen.listed(self.lines)

    @cached_property
    def map_bs(self) -> bool:
        plan = self.observations.plan.hypervisor
        return plan is not None and plan.mapbs

    def types(self, where: Range) -> str:
        """The memory types of a range in Xen's map, for people."""
        names = dict.fromkeys(region.type_name for region in efimap.at(self.efi_map, where))
        return " and ".join(f"Efi{name}" for name in names) or "memory that is in no EFI descriptor"

    def kept(self, where: Range) -> bool:
        """Does Xen leave this memory alone, by its type?"""
        regions = efimap.at(self.efi_map, where)
        types = xen.KEPT_TYPES | xen.BOOT_SERVICES_TYPES if self.map_bs else xen.KEPT_TYPES
        return bool(regions) and all(region.type in types for region in regions)

    def last(self, subject: str) -> SampleEntry | None:
        """The last sample of a subject after the hand-off."""
        found = [s for s in self.observations.record.samples if s.subject == subject and s.point is not Point.HANDOFF]
        return found[-1] if found else None

    @cached_property
    def config(self) -> ConfigTables:
        """The configuration table when it was last sampled; empty when it never was."""
        sample = self.last(CONFIG_TABLES)
        return parse_array(self.observations.record.sampled(sample)) if sample is not None else {}

    def pointer(self, baseline: Baseline) -> int | None:
        """Where the configuration table now says that a table is."""
        return self.config.get(guid_of(self.observations.plan, baseline.name))

    def named(self, name: TableName, address: int) -> xen.Listed | None:
        """dom0's word about a table, by its name or, for one whose name is not known here, by its address."""
        wanted = KINDS[name].kernel_name
        found = (item for item in self.listed if (item.name == wanted if wanted else item.address == address))
        return next(found, None)
