"""Is dom0 on the Xen that was planned, and does it leave alone what Xen does not keep?"""

from __future__ import annotations

from collections.abc import Iterator

from harness.evidence import crash, xen
from harness.evidence.ranges import Range
from harness.evidence.tables.configtable import parse_array
from harness.model.causes import Cause
from harness.model.verdict import Check, Evidence
from harness.model.words.tables import TableName
from harness.record.observations import Observations
from harness.subjects.common import failed, judged, missing, passed
from harness.subjects.vitals.crash import quoted
from harness.subjects.xen.outcome import named
from harness.subjects.xen.view import CONFIG_TABLES, XenView

_NAME = "hypervisor"
_ON_XEN = ("Booting kernel on Xen", "Booting paravirtualized kernel on Xen")
"""arch/x86/xen/enlighten_pv.c, xen_banner()"""
_RESERVES = "efi_mem_reserve"


def check_hypervisor(observations: Observations) -> Check | None:
    """Xen's version and options are those of the plan, and dom0 says that it runs on it; None without a hypervisor."""
    plan = observations.plan.hypervisor
    if plan is None or not observations.entered:
        return None
    view = XenView(observations)
    found = xen.version(view.lines)
    wrong = next(_wrong(view, found[0] if found else ""), None)
    if wrong is not None:
        return judged(
            _NAME, wrong[0], wrong[1], epoch=1, hint="Look at the lines of console.log that begin with (XEN)."
        )
    warned = next((item for item in crash.find(xen.dom0(view.lines)) if _RESERVES in item.title), None)
    if warned is not None:
        return failed(
            _NAME,
            Cause.XEN_RESERVE,
            f"dom0 tries to reserve a table's memory, which only Xen can: {warned.title}",
            epoch=1,
            evidence=tuple(quoted([warned])),
            hint="fa7bee867db1 (v6.3) warns of it; the caller should ask for EFI_PARAVIRT first.",
        )
    version, line = found or ("", view.lines[0])
    said = Evidence(text=line.text[:120], where=f"console.log:{line.number}")
    return passed(_NAME, f"dom0 is on Xen {version} as planned", evidence=(said,))


def _wrong(view: XenView, version: str) -> Iterator[tuple[Cause, str]]:
    plan = view.observations.plan.hypervisor
    if plan is None:
        return
    if not version:
        yield Cause.MISSING_REPORT, "Xen printed nothing, so nothing shows that it ran"
    if not version.startswith(f"{plan.image.version}."):
        yield Cause.SETUP_NOT_PROVED, f"Xen {version} ran, planned was {plan.image.version}"
    options = next((line for line in plan.config.splitlines() if line.startswith("options=")), "").partition("=")[2]
    said = xen.command_line(view.lines)
    if said is not None and said != options:
        yield Cause.SETUP_NOT_PROVED, f"Xen's options are {said!r}, planned was {options!r}"
    yield from _wrong_mapping(view)
    yield from _wrong_samples(view)
    reported = view.observations.record.frame("hello", 1) is not None
    if reported and not any(words in line.text for line in xen.dom0(view.lines) for words in _ON_XEN):
        yield Cause.SETUP_NOT_PROVED, "the kernel does not say that it runs on Xen"


def _wrong_mapping(view: XenView) -> Iterator[tuple[Cause, str]]:
    """-mapbs shows in the RAM map that Xen makes: boot services memory is reserved there, or else usable."""
    ram = xen.e820(view.lines)
    boot = [region for region in view.efi_map if region.type in xen.BOOT_SERVICES_TYPES]
    usable = [region for region in boot if _is_usable(region.range, ram)]
    if boot and ram and view.map_bs == bool(usable):
        how = "usable" if usable else "reserved"
        yield Cause.SETUP_NOT_PROVED, f"boot services memory is {how} in Xen's RAM map, against the plan's -mapbs"


def _wrong_samples(view: XenView) -> Iterator[tuple[Cause, str]]:
    """The configuration table from outside is what the EFI agent saw; Xen changes it before its first line only."""
    record = view.observations.record
    samples = [sample for sample in record.samples if sample.subject == CONFIG_TABLES]
    tables = [parse_array(record.sampled(sample)) for sample in samples]
    for sample in record.samples:
        if sample.subject not in set(TableName):
            record.sampled(sample)  # what is recorded is whole, whether or not it is asked for below
    if tables and tables[0] != view.observations.config_tables:
        yield (
            Cause.SETUP_NOT_PROVED,
            "the configuration table at the hand-off is not the one that the EFI agent reported",
        )
    changed = next((sample for sample, now in zip(samples[2:], tables[2:], strict=True) if now != tables[1]), None)
    if changed is not None:
        yield Cause.SETUP_NOT_PROVED, f"the configuration table was changed while Xen ran: {changed.file}"


def _is_usable(where: Range, ram: tuple[tuple[Range, str], ...]) -> bool:
    return any(what == "usable" and item.overlaps(where) for item, what in ram)


def check_xen_tables(observations: Observations) -> Check:
    """No table that dom0 names and calls usable lies in memory that Xen does not keep."""
    title = "xen_tables: protected"
    view = XenView(observations)
    if not view.listed or not view.efi_map:
        what = "dom0 never named its configuration tables" if view.efi_map else "Xen's EFI memory map is not printed"
        return missing(title, what, hint="See the check of the run's end, and console.log.")
    taken = [item for item in view.listed if item.usable]
    wrong = [item for item in taken if not view.kept(Range.sized(item.address, 1))]
    evidence = tuple(
        Evidence(
            text=f"{item.name} at {item.address:#x}: {view.types(Range.sized(item.address, 1))}",
            where=f"console.log:{item.line.number}",
        )
        for item in (wrong or view.listed)
    )
    if wrong:
        names = ", ".join(item.name for item in wrong)
        return failed(
            title,
            Cause.XEN_TABLE_UNPROTECTED,
            f"dom0 takes {names} from memory that Xen does not keep",
            epoch=1,
            evidence=(*evidence, *map(named, wrong)),
            hint="c0fecaa44dc3 (v6.3) has such tables called unusable.",
        )
    refused = ", ".join(item.name for item in view.listed if not item.usable) or "none"
    return passed(
        title,
        f"the {len(taken)} tables that dom0 takes lie in memory that Xen keeps; unusable: {refused}",
        evidence=evidence,
    )
