"""What one kernel hands to the next: each check is seen to go red, by damage to recorded runs."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from judge.test_judge import verdict_is
from support.records import Copy

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED
LEVELS = "seams-five-levels"
"""Three kernels by kexec_file_load, two CPUs; the second has no5lvl."""
REGION = "seams-crash-region"
"""Three kernels; the second and the third with crashkernel= over setup_data of the first."""


def expecting(copy: Copy, *expectations: dict[str, Any]) -> Copy:
    """The same run, as if its scenario had asked for something else."""
    scenario = copy.json("plan.json")["scenario"]
    return copy.edit_json("plan.json", scenario={**scenario, "expect": list(expectations)})


@pytest.fixture
def acpi(copy_of: CopyOf) -> Copy:
    return expecting(copy_of(LEVELS), {"acpi_present": True})


@pytest.fixture
def e820(copy_of: CopyOf) -> Copy:
    return expecting(copy_of(LEVELS), {"e820_stable": True})


@pytest.fixture
def levels(copy_of: CopyOf) -> Copy:
    return copy_of(LEVELS)


@pytest.fixture
def region(copy_of: CopyOf) -> Copy:
    return copy_of(REGION)


# acpi_present


def test_acpi_is_there(acpi: Copy) -> None:
    verdict = acpi.judge()
    assert verdict.status is Status.PASS
    assert verdict.headline == "each of 3 kernels found 7 ACPI tables and 2 CPUs"


def test_no_acpi_table(acpi: Copy) -> None:
    name = acpi.fact_file(2, "acpi-tables")
    (acpi.path / name).write_text("absent\n")
    verdict_is(acpi.judge(), FAIL, Cause.ACPI_LOST, 2, "the kernel shows no ACPI table")


def test_one_acpi_table_less(acpi: Copy) -> None:
    acpi.edit(acpi.fact_file(3, "acpi-tables"), "HPET\n", "")
    verdict_is(acpi.judge(), FAIL, Cause.ACPI_LOST, 3, "no ACPI table HPET, which the first kernel has")


def test_one_cpu(acpi: Copy) -> None:
    acpi.edit(acpi.fact_file(2, "processors"), "online=0-1\n", "online=0\n")
    verdict_is(acpi.judge(), FAIL, Cause.ACPI_LOST, 2, "1 of 2 CPUs are online")


@pytest.mark.parametrize(
    "line",
    [
        "ACPI: Unable to load the System Description Tables",
        "ACPI BIOS Error (bug): A valid RSDP was not found (20220331/tbxfroot-210)",
    ],
)
def test_what_the_kernel_says_of_acpi(acpi: Copy, line: str) -> None:
    acpi.print(2, line)
    verdict_is(acpi.judge(), FAIL, Cause.ACPI_LOST, 2, line)


@pytest.mark.parametrize("name", ["acpi-tables", "processors"])
def test_acpi_not_reported(acpi: Copy, name: str) -> None:
    acpi.drop(kind="fact", epoch=2, name=name)
    verdict_is(acpi.judge(), ERROR, Cause.MISSING_REPORT, 2, "did not report its ACPI tables and processors")


# e820_stable


def rows(copy: Copy, epoch: int) -> list[tuple[int, int, int]]:
    data = (copy.path / copy.fact_file(epoch, "boot-params")).read_bytes()
    return [struct.unpack_from("<QQI", data, 0x2D0 + 20 * number) for number in range(data[0x1E8])]


def give(copy: Copy, epoch: int, entries: Sequence[tuple[int, int, int]]) -> None:
    """Put an e820 table into boot_params of an epoch, and show the same in /sys/firmware/memmap."""
    path = copy.path / copy.fact_file(epoch, "boot-params")
    data = bytearray(path.read_bytes())
    data[0x1E8] = len(entries)
    for number, entry in enumerate(entries):
        struct.pack_into("<QQI", data, 0x2D0 + 20 * number, *entry)
    path.write_bytes(data)
    names = {1: "System RAM", 2: "Reserved", 3: "ACPI Tables", 4: "ACPI Non-volatile Storage", 128: "System RAM"}
    text = "".join(f"{start:#x}-{start + size - 1:#x} {names[kind]}\n" for start, size, kind in entries)
    (copy.path / copy.fact_file(epoch, "memmap")).write_text(text)


def with_setup_data(entries: Sequence[tuple[int, int, int]], at: int) -> list[tuple[int, int, int]]:
    """As a kernel leaves a table that does not take its own setup_data out again (before 8efbc518b884)."""
    result: list[tuple[int, int, int]] = []
    for start, size, kind in entries:
        if start < at < start + size and kind == 1:
            result += [(start, at - start, 1), (at, 0x70, 128), (at + 0x70, start + size - at - 0x70, 1)]
        else:
            result.append((start, size, kind))
    return result


def test_the_e820_table_is_the_same(e820: Copy) -> None:
    verdict = e820.judge()
    assert verdict.status is Status.PASS
    assert verdict.headline.startswith("the e820 table has 16, 16, 16 entries over 2 kexecs")


def test_the_e820_table_grows(e820: Copy) -> None:
    give(e820, 3, with_setup_data(rows(e820, 3), 0x200000))
    verdict_is(
        e820.judge(),
        FAIL,
        Cause.E820_GROWS,
        3,
        "18 entries, 16 in the one before",
        "new: 0x200000-0x20006f System RAM",
        "epoch 1, from firmware: 16 entries",
    )


def test_the_first_kexec_may_split(e820: Copy) -> None:
    """What firmware gives and what a kexec gives need not be cut alike, as long as it is the same memory."""
    for epoch in (2, 3):
        give(e820, epoch, with_setup_data(rows(e820, epoch), 0x200000))
    assert e820.judge().status is Status.PASS


def test_memory_gets_lost(e820: Copy) -> None:
    give(e820, 2, [row for row in rows(e820, 2) if row[0] != 0x100000])
    verdict_is(
        e820.judge(), FAIL, Cause.E820_CHANGED, 2, "0x100000-0x805fff is not System RAM, as it is in boot_params"
    )


def test_memory_gets_another_type(e820: Copy) -> None:
    give(e820, 3, [(start, size, 2 if start == 0x100000 else kind) for start, size, kind in rows(e820, 3)])
    verdict_is(e820.judge(), FAIL, Cause.E820_CHANGED, 3, "0x100000-0x805fff is Reserved, as it is not in boot_params")


def test_the_first_kib_is_not_missed(e820: Copy) -> None:
    """kexec-tools leaves it out."""
    give(e820, 2, [(0x400, 0x9FC00, 1), *rows(e820, 2)[1:]])
    assert e820.judge().status is Status.PASS


def test_sysfs_shows_another_map(e820: Copy) -> None:
    e820.edit(e820.fact_file(2, "memmap"), "0x100000-0x805fff System RAM\n", "")
    verdict_is(e820.judge(), FAIL, Cause.E820_CHANGED, 2, "/sys/firmware/memmap shows other memory")


@pytest.mark.parametrize("name", ["boot-params", "memmap"])
def test_the_map_is_not_reported(e820: Copy, name: str) -> None:
    e820.drop(kind="fact", epoch=2, name=name)
    verdict_is(e820.judge(), ERROR, Cause.MISSING_REPORT, 2)


# paging_levels


def test_the_levels_are_as_wanted(levels: Copy) -> None:
    verdict = levels.judge()
    assert (verdict.status, verdict.headline) == (Status.PASS, "the kernels ran on 5, 4, 5 levels")


def control(copy: Copy, epoch: int, *, levels: int, cpu: int) -> None:
    cr4 = list(copy.only(type="control", epoch=epoch)["cr4"])
    cr4[cpu] = cr4[cpu] | 1 << 12 if levels == 5 else cr4[cpu] & ~(1 << 12)
    copy.change({"cr4": cr4}, type="control", epoch=epoch)


@pytest.mark.parametrize(("epoch", "cpu", "wanted"), [(2, 0, 4), (2, 1, 4), (3, 0, 5), (3, 1, 5)])
def test_a_cpu_on_other_levels(levels: Copy, epoch: int, cpu: int, wanted: int) -> None:
    control(levels, epoch, levels=9 - wanted, cpu=cpu)
    verdict_is(levels.judge(), FAIL, Cause.PAGING_LEVELS, epoch, f"levels of page tables, wanted were {wanted}")


def test_a_kernel_that_says_otherwise(levels: Copy) -> None:
    levels.edit(levels.fact_file(3, "processors"), " la57", "")
    verdict_is(levels.judge(), FAIL, Cause.PAGING_LEVELS, 3, "the kernel says that it uses 4 levels, wanted were 5")


def test_a_machine_without_five_levels(levels: Copy) -> None:
    for cpu in (0, 1):
        control(levels, 1, levels=4, cpu=cpu)
    levels.edit(levels.fact_file(1, "processors"), " la57", "")
    verdict_is(levels.judge(), UNSUPPORTED, Cause.NO_CAPABILITY, 1, "it may be built so")


def test_cr4_was_not_read(levels: Copy) -> None:
    levels.drop(type="control", epoch=2)
    verdict_is(levels.judge(), ERROR, Cause.MISSING_REPORT, 2, "CR4 or /proc/cpuinfo was not read")


def test_a_kernel_that_cannot_read_the_page_tables_of_the_one_before(copy_of: CopyOf) -> None:
    """A real run, from 6.12 on five levels to 5.10, which is built for four: RSI in autopsy.json has bit 58."""
    copy = copy_of("seams-five-to-four-older")
    assert copy.json("autopsy.json")["cpus"][0]["cpu"]["general"]["rsi"] >> 58 == 1
    verdict_is(copy.judge(), FAIL, Cause.TRIPLE_FAULT, 2, "kexec segment kernel+")


# crash_region


def without_region(copy: Copy, epoch: int) -> None:
    path = copy.path / copy.fact_file(epoch, "iomem")
    lines = [line for line in path.read_text().splitlines(keepends=True) if "Crash kernel" not in line]
    path.write_text("".join(lines))


def test_the_region_is_there(region: Copy) -> None:
    verdict = region.judge()
    assert verdict.status is Status.PASS
    assert "each of 2 kernels with crashkernel= has its region, also over 0x3501a018-0x3601a057" in verdict.headline


@pytest.mark.parametrize("epoch", [2, 3])
def test_the_region_vanishes(region: Copy, epoch: int) -> None:
    without_region(region, epoch)
    verdict_is(
        region.judge(),
        FAIL,
        Cause.CRASH_REGION_LOST,
        epoch,
        "no 'Crash kernel' in /proc/iomem, although it says that it reserved 0x33000000-0x3affffff",
    )


def test_the_region_is_elsewhere(region: Copy) -> None:
    region.edit(region.fact_file(2, "iomem"), "33000000-3affffff : Crash kernel", "33000000-39ffffff : Crash kernel")
    verdict_is(region.judge(), FAIL, Cause.CRASH_REGION_LOST, 2, "is 0x33000000-0x39ffffff, although it says")


def test_a_fixed_place_that_is_taken_is_no_fault_of_the_kernel(region: Copy) -> None:
    without_region(region, 2)
    region.print(2, "crashkernel reservation failed - memory is in use.")
    verdict_is(region.judge(), ERROR, Cause.SETUP_NOT_PROVED, 2, "asks for memory that is not free")


def test_a_region_that_is_not_over_setup_data_proves_nothing(region: Copy) -> None:
    for epoch in (2, 3):
        region.edit(region.fact_file(epoch, "iomem"), "33000000-3affffff : Crash", "23000000-2affffff : Crash")
    console = region.path / "console.log"
    console.write_bytes(console.read_bytes().replace(b"128MB of memory at 816MB", b"128MB of memory at 560MB"))
    verdict_is(region.judge(), ERROR, Cause.NO_OVERLAP, 2, "no region of a kexec'ed kernel covers 0x3501a018")


def test_iomem_is_not_reported(region: Copy) -> None:
    region.drop(kind="fact", epoch=2, name="iomem")
    verdict_is(region.judge(), ERROR, Cause.MISSING_REPORT, 2, "/proc/iomem was not reported")


@pytest.mark.parametrize("text", ["", "0 0x3 65584\n", "0 0x4 96\n", "nonsense\n"])
def test_option_roms_that_never_came_to_the_kernel(region: Copy, text: str) -> None:
    (region.path / region.fact_file(1, "setup-data")).write_text(text)
    verdict_is(region.judge(), ERROR, Cause.SETUP_NOT_PROVED, 1, "the machine has 6 option ROMs")


# boot_services_memory


@pytest.fixture
def freed(copy_of: CopyOf) -> Copy:
    return expecting(copy_of(LEVELS), {"boot_services_memory": "freed"})


def say(copy: Copy, kib: int) -> None:
    """Another number of as many digits, so that no place in the console moves."""
    console = copy.path / "console.log"
    data = console.read_bytes()
    assert b"boot services memory: 34016K" in data
    console.write_bytes(data.replace(b"boot services memory: 34016K", b"boot services memory: %dK" % kib))


def test_boot_services_memory_is_freed(freed: Copy) -> None:
    verdict = freed.judge()
    assert verdict.status is Status.PASS
    assert verdict.headline == "the kernel freed 34016 KiB of boot services memory; computed: 34016 KiB"


@pytest.mark.parametrize("kib", [33950, 34090, 10000, 99999])
def test_boot_services_memory_gets_lost(freed: Copy, kib: int) -> None:
    say(freed, kib)
    words = f"freed {kib} KiB of boot services memory, and 34016 KiB were to be freed"
    verdict_is(freed.judge(), FAIL, Cause.BOOT_SERVICES_LOST, 1, words)


def test_no_word_of_boot_services_memory(freed: Copy) -> None:
    console = freed.path / "console.log"
    console.write_bytes(console.read_bytes().replace(b"Freeing EFI boot", b"Keeping EFI boot"))
    verdict_is(freed.judge(), FAIL, Cause.BOOT_SERVICES_LOST, 1, "does not say that it freed any of 34016 KiB")


def test_what_is_kept_need_not_be_freed(freed: Copy) -> None:
    """A reservation takes its whole descriptor out (memblock_is_region_reserved() asks whether they touch)."""
    fact = freed.path / freed.fact_file(1, "runtime-map")
    fact.write_text("".join(line for line in fact.read_text().splitlines(keepends=True) if "type=0x4" not in line))
    assert freed.judge().headline.endswith("computed: 34024 KiB")


@pytest.mark.parametrize("missing", [{"kind": "memmap"}, {"kind": "fact", "epoch": 1, "name": "runtime-map"}])
def test_boot_services_memory_not_reported(freed: Copy, missing: dict[str, Any]) -> None:
    freed.drop(**missing)
    verdict_is(freed.judge(), ERROR, Cause.MISSING_REPORT, 1, "was not reported")


# runtime_map


@pytest.fixture
def runtime_map(copy_of: CopyOf) -> Copy:
    return expecting(copy_of(LEVELS), {"runtime_map": "kept"})


def test_the_runtime_map_is_handed_on(runtime_map: Copy) -> None:
    verdict = runtime_map.judge()
    assert verdict.status is Status.PASS
    assert verdict.headline.endswith("EFI runtime regions, the same in all 3 kernels")


@pytest.mark.parametrize("epoch", [2, 3])
@pytest.mark.parametrize(
    ("name", "value"), [("virt_addr", "0xfffffffefe000000"), ("attribute", "0xf"), ("num_pages", "0x99")]
)
def test_a_runtime_region_changes(runtime_map: Copy, epoch: int, name: str, value: str) -> None:
    fact = runtime_map.path / runtime_map.fact_file(epoch, "runtime-map")
    lines = fact.read_text().splitlines()
    words = [f"{name}={value}" if word.startswith(f"{name}=") else word for word in lines[-1].split()]
    fact.write_text("\n".join([*lines[:-1], " ".join(words)]) + "\n")
    verdict_is(runtime_map.judge(), FAIL, Cause.RUNTIME_MAP_CHANGED, epoch, "now, not before: ", f"{name}={value}")


def test_a_runtime_region_is_not_handed_on(runtime_map: Copy) -> None:
    fact = runtime_map.path / runtime_map.fact_file(2, "runtime-map")
    fact.write_text("".join(fact.read_text().splitlines(keepends=True)[:-1]))
    verdict_is(
        runtime_map.judge(), FAIL, Cause.RUNTIME_MAP_CHANGED, 2, "1 EFI runtime regions of the kernel before are"
    )


def test_no_efi_after_a_kexec(runtime_map: Copy) -> None:
    (runtime_map.path / runtime_map.fact_file(2, "runtime-map")).write_text("")
    verdict_is(
        runtime_map.judge(), FAIL, Cause.RUNTIME_MAP_CHANGED, 2, "regions of the kernel before are missing, 0 are"
    )


@pytest.mark.parametrize("epoch", [1, 2])
def test_no_runtime_map_reported(runtime_map: Copy, epoch: int) -> None:
    runtime_map.drop(kind="fact", epoch=epoch, name="runtime-map")
    verdict_is(runtime_map.judge(), ERROR, Cause.MISSING_REPORT, epoch, "did not report a runtime-map")
