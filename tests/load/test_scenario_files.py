"""The scenarios and known issues of this project: ids that checks use, and what keeps each of them honest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from load_samples import ROOT

from harness.judge.known import match
from harness.load import Variant, find_files, load_files, load_selection
from harness.load.known_issues import load_known_issues
from harness.model.causes import Cause
from harness.model.names import MemoryType
from harness.model.words.kexec import Syscall
from harness.model.words.tables import KexecWouldOverlap, TableIntact, TableName

SCENARIOS = ROOT / "scenarios"
KNOWN = ROOT / "kernels" / "known-issues.yaml"
TABLES = ("initrd", "memattr", "mokvar", "private", "rtprop", "unaccepted")
IDS = {
    "bgrt/kexec-file", "bgrt/kexec-load", "esrt/acpi-reclaim-kexec", "esrt/kexec-chain", "esrt/kexec-file",
    "esrt/kexec-load", "esrt/no-table", "esrt/runtime-data", "kexec/add-efi-memmap", "kexec/alternate",
    "kexec/cross-version", "survey/memattr", "survey/tables",
    "fake-mem/kexec", "fake-mem/kexec-kept", "fake-mem/many", "fake-mem/single", "fake-mem/small",
    "fake-mem/two-contiguous",
    "pagetable/both-views", "pagetable/no-global", "pagetable/no-global-kexec", "pagetable/stress", "pagetable/wx-free",
    "pagetable/wx-free-kexec",
    "kdump/after-kexec", "kdump/esrt", "kdump/fake-mem", "kdump/filtered", "kdump/init-dies", "kdump/initrd-table",
    "kdump/lkdtm", "kdump/nmi", "kdump/oops-in-irq", "kdump/placement", "kdump/placement-high",
    "kdump/region-after-kexec", "kdump/small-crashkernel", "kdump/smp", "kdump/sysrq-file", "kdump/sysrq-load",
    "mixed-mode/boot", "mixed-mode/kexec",
    "seams/acpi-after-noruntime", "seams/boot-services-freed", "seams/e820-alternate", "seams/e820-stable",
    "seams/five-to-four-levels",
    "seams/five-to-four-older", "seams/four-to-four-older", "seams/nogbpages",
    "runtime/control", "runtime/fault-after-kexec", "runtime/fault-get-time", "runtime/fault-matrix",
    "runtime/fault-query-variable-info", "runtime/fault-reset", "runtime/fault-set-variable",
    "runtime/fault-uncovered", "runtime/get-time", "runtime/wedged",
    "tables/bgrt-kexec-file", "tables/bgrt-kexec-load", "tables/tpm-log-kexec-file", "tables/tpm-log-kexec-load",
    "xen/bgrt", "xen/bgrt-kept", "xen/clobbered", "xen/dom0-boot", "xen/esrt", "xen/esrt-runtime", "xen/kexec",
    "xen/kexec-file", "xen/mapbs", "xen/no-descriptor", "xen/private-table", "xen/rtprop",
    *(f"tables/{name}-kexec-{call}" for name in TABLES for call in Syscall),
}  # fmt: skip
NOT_ABOUT_LOST_TABLES = ("pagetable/", "kdump/", "runtime/", "mixed-mode/", "xen/", "seams/", "placement/")

KEPT_BY_NOBODY = ("tables/initrd-", "tables/memattr-", "tables/rtprop-", "tables/unaccepted-")
"""Tables that either call overwrites."""
NOT_LOSSES = ("runtime/", "mixed-mode/", "kdump/", "xen/", "seams/", "placement/", *KEPT_BY_NOBODY)
"""Whose known issues have nothing to do with what only kexec_load overwrites."""
ON_REQUEST_RUNTIME = (
    *("runtime/fault-get-time", "runtime/fault-matrix", "runtime/fault-uncovered", "runtime/get-time"),
    "runtime/wedged",
)
ON_REQUEST_GROUPS = ("survey/", "tables/", "fake-mem/", "xen/")
ON_REQUEST_KDUMPS = ("kdump/fake-mem", "kdump/lkdtm", "kdump/small-crashkernel")


@pytest.fixture(scope="module")
def variants() -> tuple[Variant, ...]:
    return load_files(find_files(SCENARIOS))


def one(variants: tuple[Variant, ...], name: str) -> Variant:
    return next(variant for variant in variants if variant.scenario.id == name)


def test_the_ids_are_stable(variants: tuple[Variant, ...], kept: Callable[[Path, str], None]) -> None:
    assert {variant.scenario.id for variant in variants} >= IDS
    kept(Path(__file__).parent / "variants.txt", "".join(f"{variant.id}\n" for variant in variants))


def test_the_survey_and_what_needs_a_built_kernel_run_only_when_they_are_named() -> None:
    default = {variant.scenario.id for variant in load_selection(SCENARIOS)}
    named = {
        name
        for name in IDS
        if name.startswith((*ON_REQUEST_GROUPS, "pagetable/both-views", *ON_REQUEST_KDUMPS, *ON_REQUEST_RUNTIME))
        or name in ("placement/kaslr-seeds", "placement/low-hole")
    }
    assert not default & named
    assert default >= IDS - named
    assert len(load_selection(SCENARIOS, ["fake-mem/*"])) == 12
    assert len(load_selection(SCENARIOS, ["survey/memattr"])) == 10


@pytest.mark.parametrize("path", find_files(SCENARIOS), ids=lambda path: path.stem)
def test_editors_find_the_schema(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    start = "# yaml-language-server: $schema="
    assert first.startswith(start)
    assert (path.parent / first.removeprefix(start)).resolve() == ROOT / "harness" / "schema" / "scenario.schema.json"


def test_every_scenario_says_where_it_comes_from(variants: tuple[Variant, ...]) -> None:
    assert [variant.id for variant in variants if not variant.scenario.refs] == []


def test_every_installed_table_is_at_one_place_under_a_padded_initrd(variants: tuple[Variant, ...]) -> None:
    found = [variant.scenario for variant in variants if variant.scenario.firmware.tables and variant.scenario.kexecs]
    # There the ESRT is only in the way of segments that must not reach another table.
    found = [scenario for scenario in found if scenario.id != "pagetable/wx-free-kexec"]
    # There it keeps the next kernel, which has no initrd, off a table that is elsewhere.
    found = [scenario for scenario in found if not any(kexec.without_initrd for kexec in scenario.kexecs)]
    assert len(found) > 15
    for scenario in found:
        assert scenario.machine.memory == 2**30, scenario.id
        # The controls compare runs with each other: that needs the same place everywhere.
        assert scenario.firmware.tables[0].request.below == found[0].firmware.tables[0].request.below, scenario.id
        assert {kexec.initrd.pad for kexec in scenario.kexecs} == {60 * 2**20}, scenario.id


def test_a_table_that_may_be_overwritten_has_the_proof_of_overlap(variants: tuple[Variant, ...]) -> None:
    """Only memory that is never System RAM, and a table that is not there are without it."""
    without = set()
    for scenario in (variant.scenario for variant in variants):
        if scenario.id.startswith(NOT_ABOUT_LOST_TABLES):
            continue
        intact = {item.table_intact for item in scenario.expect if isinstance(item, TableIntact)}
        proofs = {item.kexec_would_overlap for item in scenario.expect if isinstance(item, KexecWouldOverlap)}
        assert intact or scenario.id.startswith(("fake-mem/", "tables/initrd-")), scenario.id
        if proofs != intact:
            without.add(scenario.id)
    # fake-mem/many has no kexec: its tables are there to be reserved. TPM logs lie in ACPI memory.
    assert without == {
        *("esrt/acpi-reclaim-kexec", "esrt/runtime-data", "esrt/no-table", "fake-mem/many"),
        *("tables/tpm-log-kexec-file", "tables/tpm-log-kexec-load"),
        *("tables/private-kexec-file", "tables/private-kexec-load"),
    }


def test_the_control_differs_from_the_failing_scenario_only_by_the_memory_type(variants: tuple[Variant, ...]) -> None:
    control, failing = one(variants, "esrt/runtime-data").scenario, one(variants, "esrt/kexec-load").scenario
    here, there = control.firmware.tables[0].esrt, failing.firmware.tables[0].esrt
    assert here.memory is MemoryType.RUNTIME_SERVICES_DATA
    assert there.memory is MemoryType.BOOT_SERVICES_DATA
    assert here.model_copy(update={"memory": there.memory}) == there
    assert (control.kernel, control.machine, control.cmdline) == (failing.kernel, failing.machine, failing.cmdline)
    assert failing.kexecs[0] in control.kexecs
    assert {kexec.syscall for kexec in control.kexecs} == set(Syscall)


def test_the_control_on_xen_differs_only_by_the_memory_type(variants: tuple[Variant, ...]) -> None:
    control, moved = one(variants, "xen/esrt-runtime").scenario, one(variants, "xen/esrt").scenario
    here, there = control.firmware.tables[0].esrt, moved.firmware.tables[0].esrt
    assert (here.memory, there.memory) == (MemoryType.RUNTIME_SERVICES_DATA, MemoryType.BOOT_SERVICES_DATA)
    assert here.model_copy(update={"memory": there.memory}) == there
    assert (control.kernel, control.machine, control.hypervisor) == (moved.kernel, moved.machine, moved.hypervisor)


def test_the_causal_control_differs_from_the_failing_scenario_only_by_the_command_line(
    variants: tuple[Variant, ...],
) -> None:
    control, failing = one(variants, "kexec/add-efi-memmap").scenario, one(variants, "esrt/kexec-load").scenario
    assert control.cmdline == ["add_efi_memmap"]
    same = {"id": failing.id, "why": failing.why, "refs": failing.refs, "cmdline": failing.cmdline}
    assert control.model_copy(update=same) == failing


def test_the_control_of_the_older_kernel_differs_only_by_the_levels_of_the_first(variants: tuple[Variant, ...]) -> None:
    control, failing = (one(variants, f"seams/{name}-to-four-older").scenario for name in ("four", "five"))
    assert control.boot.cmdline == ["no5lvl"]
    same = {
        "id": failing.id,
        "why": failing.why,
        "refs": failing.refs,
        "steps": failing.steps,
        "expect": failing.expect,
    }
    assert control.model_copy(update=same) == failing
    assert control.steps[1:] == failing.steps[1:]


def test_no_table_installs_nothing(variants: tuple[Variant, ...]) -> None:
    scenario = one(variants, "esrt/no-table").scenario
    assert scenario.firmware.tables == []
    assert scenario.kexecs == ()
    assert [item.table_intact for item in scenario.expect if isinstance(item, TableIntact)] == [TableName.ESRT]


def test_bgrt_needs_a_screen_or_the_agent_and_a_kernel_with_acpi_bgrt(variants: tuple[Variant, ...]) -> None:
    for scenario in (variant.scenario for variant in variants):
        tables = {item.table_intact for item in scenario.expect if isinstance(item, TableIntact)}
        if TableName.BGRT in tables:
            installed = TableName.BGRT in {table.name for table in scenario.firmware.tables}
            assert scenario.machine.vga or installed, scenario.id
            assert not scenario.kernel.endswith("-cloud"), scenario.id


def test_known_issues_are_for_scenarios_that_exist(variants: tuple[Variant, ...]) -> None:
    issues = load_known_issues(KNOWN, {variant.scenario.id for variant in variants})
    assert {(issue.scenario, issue.cause, issue.epoch) for issue in issues} == {
        ("placement/kexec-low", Cause.TRIPLE_FAULT, 2),
        ("placement/kexec-low-45m", Cause.OCCUPIED_OVERWRITTEN, 2),
        ("esrt/kexec-load", Cause.ESRT_CORRUPT, 2),
        ("kexec/alternate", Cause.ESRT_CORRUPT, 3),
        ("esrt/acpi-reclaim-kexec", Cause.TABLE_REFUSED, 2),
        ("seams/e820-alternate", Cause.E820_GROWS, 3),
        ("seams/five-to-four-older", Cause.TRIPLE_FAULT, 2),
        ("bgrt/kexec-load", Cause.BGRT_CORRUPT, 2),
        ("tables/bgrt-kexec-load", Cause.BGRT_CORRUPT, 2),
        ("tables/initrd-kexec-*", Cause.STALE_INITRD, 2),
        ("tables/memattr-kexec-*", Cause.MEMATTR_CORRUPT, 2),
        ("tables/mokvar-kexec-load", Cause.MOKVAR_CORRUPT, 2),
        ("tables/rtprop-kexec-*", Cause.RTPROP_CORRUPT, None),
        ("tables/unaccepted-kexec-*", Cause.UNACCEPTED_CORRUPT, 2),
        ("fake-mem/kexec-kept", Cause.SOFT_RESERVED_LOST, 2),
        ("pagetable/wx-free-kexec", Cause.EFI_PAGE_WX, 2),
        ("kdump/initrd-table", Cause.MEMORY_CHANGED, 1),
        ("runtime/fault-reset", Cause.RUNTIME_FAULT_FATAL, 1),
        ("runtime/fault-uncovered", Cause.RUNTIME_FAULT_FATAL, 1),
        ("xen/rtprop", Cause.XEN_TABLE_UNPROTECTED, 1),
        ("xen/clobbered", Cause.XEN_TABLE_UNPROTECTED, 1),
        ("xen/private-table", Cause.XEN_TABLE_UNPROTECTED, 1),
        ("xen/esrt-runtime", Cause.TABLE_REFUSED, 1),
        ("xen/esrt", Cause.XEN_TABLE_LOST, 1),
        ("xen/esrt", Cause.TABLE_REFUSED, 1),
        ("xen/no-descriptor", Cause.XEN_TABLE_UNPROTECTED, 1),
        ("xen/mapbs", Cause.XEN_PANIC, 1),
        ("xen/bgrt-kept", Cause.XEN_RESERVE, 1),
        ("xen/bgrt-kept", Cause.TABLE_REFUSED, 1),
        ("xen/kexec-file", Cause.KEXEC_ACCEPTED, 1),
    }


def test_a_known_loss_is_in_the_epoch_that_kexec_load_enters(variants: tuple[Variant, ...]) -> None:
    issues = load_known_issues(KNOWN)
    hit = 0
    for variant in variants:
        issue = match(issues, variant.scenario, variant.scenario.kernels)
        # What is Soft Reserved is lost by both calls, and so are the rights of firmware's pages; what is refused is
        # not lost.
        other = (Cause.SOFT_RESERVED_LOST, Cause.EFI_PAGE_WX, Cause.TABLE_REFUSED)
        if variant.scenario.id.startswith(NOT_LOSSES):
            continue
        if issue is not None and issue.epoch is not None and issue.cause not in other:
            # Epoch 1 is booted by firmware; kexec number n (from 0) enters epoch n + 2.
            assert variant.scenario.kexecs[issue.epoch - 2].syscall is Syscall.LOAD, variant.id
            assert all(kexec.syscall is Syscall.FILE for kexec in variant.scenario.kexecs[: issue.epoch - 2])
            hit += 1
    assert hit == 19


def test_a_scenario_that_only_uses_kexec_file_load_has_no_known_issue(variants: tuple[Variant, ...]) -> None:
    issues = load_known_issues(KNOWN)
    variants = tuple(v for v in variants if not v.scenario.id.startswith(NOT_LOSSES))
    safe = [v for v in variants if not any(kexec.syscall is Syscall.LOAD for kexec in v.scenario.kexecs)]
    assert safe
    found = {v.scenario.id for v in safe if match(issues, v.scenario, v.scenario.kernels)}
    assert found == {"pagetable/wx-free-kexec", "esrt/acpi-reclaim-kexec"}  # no table is lost there
