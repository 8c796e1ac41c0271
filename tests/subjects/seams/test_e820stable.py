"""The e820 table over kexecs."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import pytest
from support.damage import expecting
from support.records import Copy
from support.verdicts import verdict_is
from support.words import Told

from harness.model.causes import Cause, Status

CopyOf = Callable[[str], Copy]
FAIL, ERROR, UNSUPPORTED = Status.FAIL, Status.ERROR, Status.UNSUPPORTED
LEVELS = "seams-five-levels"
"""Three kernels by kexec_file_load, two CPUs; the second has no5lvl."""


@pytest.fixture
def e820(copy_of: CopyOf) -> Copy:
    return expecting(copy_of(LEVELS), {"e820_stable": True})


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


def test_the_e820_table_grows(e820: Copy, told: Told) -> None:
    give(e820, 3, with_setup_data(rows(e820, 3), 0x200000))
    verdict_is(
        told(e820.judge()),
        FAIL,
        Cause.E820_GROWS,
        3,
        "18",
        "16",
        "0x200000-0x20006f",
        "16",
    )


def test_the_first_kexec_may_split(e820: Copy) -> None:
    """What firmware gives and what a kexec gives need not be cut alike, as long as it is the same memory."""
    for epoch in (2, 3):
        give(e820, epoch, with_setup_data(rows(e820, epoch), 0x200000))
    assert e820.judge().status is Status.PASS


def test_memory_gets_lost(e820: Copy, told: Told) -> None:
    give(e820, 2, [row for row in rows(e820, 2) if row[0] != 0x100000])
    verdict_is(told(e820.judge()), FAIL, Cause.E820_CHANGED, 2, "0x100000-0x805fff", "boot_params")


def test_memory_gets_another_type(e820: Copy, told: Told) -> None:
    give(e820, 3, [(start, size, 2 if start == 0x100000 else kind) for start, size, kind in rows(e820, 3)])
    verdict_is(told(e820.judge()), FAIL, Cause.E820_CHANGED, 3, "0x100000-0x805fff", "boot_params")


def test_the_first_kib_is_not_missed(e820: Copy) -> None:
    """kexec-tools leaves it out."""
    give(e820, 2, [(0x400, 0x9FC00, 1), *rows(e820, 2)[1:]])
    assert e820.judge().status is Status.PASS


def test_sysfs_shows_another_map(e820: Copy, told: Told) -> None:
    e820.edit(e820.fact_file(2, "memmap"), "0x100000-0x805fff System RAM\n", "")
    verdict_is(told(e820.judge()), FAIL, Cause.E820_CHANGED, 2, "/sys/firmware/memmap")


@pytest.mark.parametrize("name", ["boot-params", "memmap"])
def test_the_map_is_not_reported(e820: Copy, name: str) -> None:
    e820.drop(kind="fact", epoch=2, name=name)
    verdict_is(e820.judge(), ERROR, Cause.MISSING_REPORT, 2)
