"""The registry of tables is complete, and a table of each kind goes through the planner and back out of memory."""

from __future__ import annotations

from typing import Any

import pytest
from support.synthetic import NONCE, kernel, plan, prepared, scenario

from harness.evidence.defect import Defect
from harness.evidence.ranges import Range
from harness.evidence.tables import bgrt, esrt, mokvar, rtprop, unaccepted
from harness.evidence.tables.kinds import KINDS, corrupt, put_aside, title
from harness.model import guids
from harness.model.causes import Cause
from harness.model.names import MemoryType
from harness.model.plan import TablePlan
from harness.model.words.tables import ALL_SERVICES, TableName

INSTALLED = [
    TableName.ESRT,
    TableName.BGRT,
    TableName.RTPROP,
    TableName.MOKVAR,
    TableName.UNACCEPTED,
    TableName.PRIVATE,
]


def table(name: str, **options: Any) -> TablePlan:
    request = {name: {"below": 0x3A000000, **options}}
    (made,) = plan(scenario(firmware={"tables": [request]}), prepared([kernel()] * 2)).tables
    return made


def test_every_table_is_in_the_registry() -> None:
    assert set(KINDS) == set(TableName)


@pytest.mark.parametrize("name", TableName)
def test_every_table_has_its_own_cause_and_words(name: TableName) -> None:
    assert corrupt(name) is Cause(f"{name}-corrupt")
    assert title(name)
    assert KINDS[name].how_to_have


def test_the_kernels_names_are_all_different_and_those_found_by_one_have_one() -> None:
    names = [kind.kernel_name for kind in KINDS.values() if kind.kernel_name]
    assert len(set(names)) == len(names) > 5
    assert [name for name, kind in KINDS.items() if kind.late is not None and not kind.kernel_name] == []
    assert put_aside(TableName.MEMATTR) == "MEMATTR=0xffffffffffffffff"


@pytest.mark.parametrize("name", INSTALLED)
def test_each_has_canary_on_both_sides_in_its_pages(name: TableName) -> None:
    made = table(name)
    size_bytes = len(made.content_hex) // 2
    assert made.name is name
    assert made.guid == ("" if made.acpi else KINDS[name].guid or guids.PRIVATE)
    assert made.offset > 0
    assert 0 < size_bytes < made.pages * 4096 - made.offset
    assert made.memory is MemoryType.BOOT_SERVICES_DATA


@pytest.mark.parametrize("name", [item for item in INSTALLED if KINDS[item].guid])
def test_firmware_s_own_table_is_found_and_measured(name: TableName) -> None:
    """What the builder made, under its GUID, at some address; what lies behind it is not the table's."""
    data = bytes.fromhex(table(name).content_hex)

    def read(address: int, size_bytes: int) -> bytes:
        return (data + b"\xa5" * size_bytes)[address - 0x5000 :][:size_bytes]

    assert KINDS[name].find({guids.ACPI20: 0x1000, KINDS[name].guid: 0x5000}, read) == Range.sized(0x5000, len(data))
    assert isinstance(KINDS[name].find({guids.ACPI20: 0x1000}, read), Defect)


def test_options_reach_the_bytes() -> None:
    assert rtprop.parse(bytes.fromhex(table("rtprop").content_hex)) == rtprop.RtProp(1, 8, ALL_SERVICES)
    assert bytes.fromhex(table("rtprop", mask=0x70).content_hex)[4:] == b"\x70\0\0\0"
    variables = mokvar.parse(bytes.fromhex(table("mokvar", entries=5, size=7).content_hex))
    assert isinstance(variables, tuple)
    assert [(item.name, len(item.data)) for item in variables] == [(f"Harness{number}", 7) for number in range(5)]
    parsed = unaccepted.parse(bytes.fromhex(table("unaccepted", base=0x1000, size=2**22, unit=4096).content_hex))
    assert parsed == unaccepted.Unaccepted(1, 4096, 0x1000, 128)
    private = table("private", guid="11111111-2222-3333-4444-555555555555", size=77)
    assert (private.guid, len(private.content_hex)) == ("11111111-2222-3333-4444-555555555555", 154)
    image = bytes.fromhex(table("bgrt", width=10, height=20).content_hex)
    assert image == bgrt.make_image(10, 20, NONCE)
    assert isinstance(esrt.parse(bytes.fromhex(table("esrt", entries=4).content_hex)), esrt.Esrt)


@pytest.mark.parametrize("name", ["bgrt", "mokvar", "private"])
def test_bytes_are_of_one_run(name: str) -> None:
    request = {name: {"at": 0x3A000000}}
    made = plan(scenario(firmware={"tables": [request]}), prepared([kernel()] * 2))
    content = KINDS[TableName(name)].content
    assert content is not None
    wanted = made.scenario.firmware.tables[0].request
    assert content(wanted, NONCE).hex() == made.tables[0].content_hex
    assert content(wanted, "11111111") != content(wanted, NONCE)


def test_memattr_is_copied_from_firmware() -> None:
    made = table("memattr")
    assert (made.guid, made.copied, made.content_hex, made.pages) == (guids.MEMATTR, True, "", 1)


def test_several_tables_at_once() -> None:
    requests = [{name.value: {"below": 0x3A000000}} for name in INSTALLED]
    made = plan(scenario(firmware={"tables": requests}), prepared([kernel()] * 2))
    assert [item.name for item in made.tables] == INSTALLED
    assert len({item.content_hex for item in made.tables}) == len(INSTALLED)


def test_a_bgrt_comes_with_its_acpi_table() -> None:
    made = table("bgrt")
    assert made.acpi is not None
    assert bytes.fromhex(made.acpi.content_hex) == bgrt.build()
    assert (made.acpi.pointer, table("esrt").acpi) == (bgrt.POINTER_OFFSET, None)


def test_a_large_table_gets_its_pages() -> None:
    assert table("mokvar", entries=1, size=300 * 1024).pages == 76
