"""Does the first kernel give back the memory of firmware's boot services?"""

from __future__ import annotations

import re
from collections.abc import Iterable

from harness.evidence.maps import efimap
from harness.evidence.maps.efimap import EfiRegion
from harness.evidence.ranges import Range, merged, without
from harness.model.causes import Cause
from harness.model.verdict import Check, Evidence
from harness.record.observations import Observations
from harness.subjects.common import judged, passed

_NAME = "boot_services_memory"
_FREED = re.compile(r"Freeing EFI boot services memory: (?P<kib>\d{1,12})K")
_TYPES = (3, 4)
"""EfiBootServicesCode and EfiBootServicesData."""
_FIRST_MIB = Range(0, 2**20)
"""Never freed: firmware may write there, and a capture kernel needs it (arch/x86/platform/efi/quirks.c)."""
_SLACK_BYTES = 64 * 1024


def check_boot_services_memory(observations: Observations) -> Check:
    """The size that the kernel reports against firmware's map and what the kernel keeps of it."""
    kept = efimap.parse_runtime_map(observations.record.text(1, "runtime-map") or "absent")
    if not observations.efi_map or not isinstance(kept, tuple):
        return _check(Cause.MISSING_REPORT, "firmware's memory map or the runtime-map was not reported")
    had, keeps = _above_1mib(observations.efi_map), _above_1mib(kept)
    wanted = sum(item.size_bytes for item in without(had, keeps))
    evidence: tuple[Evidence, ...] = (
        Evidence(
            text=f"boot services memory above 1 MiB at the hand-off: {_kib(had)} KiB in {len(had)} ranges",
            where=observations.cited(observations.record.frame("memmap")),
        ),
        Evidence(text=f"of that the kernel keeps {_kib(keeps)} KiB", where=observations.where(1, "runtime-map")),
    )
    said = [(line, _FREED.search(line.text)) for line in observations.epoch_lines(1)]
    found = [(line, int(match["kib"]) * 1024) for line, match in said if match is not None]
    if not found:
        text = f"the kernel does not say that it freed any of {wanted // 1024} KiB of boot services memory"
        return _check(Cause.BOOT_SERVICES_LOST, text, evidence)
    line, freed = found[0]
    evidence += (Evidence(text=line.text.strip(), where=f"console.log:{line.number}"),)
    if abs(freed - wanted) > _SLACK_BYTES:
        text = (
            f"the kernel freed {freed // 1024} KiB of boot services memory, and {wanted // 1024} KiB were to be freed"
        )
        return _check(Cause.BOOT_SERVICES_LOST, text, evidence)
    return passed(
        _NAME,
        f"the kernel freed {freed // 1024} KiB of boot services memory; computed: {wanted // 1024} KiB",
        evidence=evidence,
    )


def _above_1mib(regions: Iterable[EfiRegion]) -> tuple[Range, ...]:
    return without(merged(region.range for region in regions if region.type in _TYPES), [_FIRST_MIB])


def _kib(ranges: Iterable[Range]) -> int:
    return sum(item.size_bytes for item in ranges) // 1024


def _check(cause: Cause, text: str, evidence: tuple[Evidence, ...] = ()) -> Check:
    return judged(
        _NAME,
        cause,
        text,
        epoch=1,
        evidence=evidence,
        hint="efi_free_boot_services() in arch/x86/platform/efi/quirks.c.",
    )
