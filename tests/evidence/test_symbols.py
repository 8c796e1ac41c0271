from __future__ import annotations

import pytest

from harness.evidence.code.symbols import Located, in_kernel_order, symbol_table
from harness.evidence.ranges import Range

from .kallsyms_image import BASE, symbols

TABLE = symbol_table(symbols(4))
"""startup_64, _stext and _text at BASE; do_0001_call to do_0003_call every 0x40 bytes; _etext at 0x100."""


def test_where_an_address_lies() -> None:
    assert TABLE.find(BASE + 0x5C) == Located("do_0001_call", 0x1C, 0x40)
    located = TABLE.find(BASE + 0x5C)
    assert located is not None
    assert (located.text, located.full) == ("do_0001_call+0x1c", "do_0001_call+0x1c/0x40")
    assert TABLE.text(BASE + 0x40) == "do_0001_call+0x0"


def test_where_a_call_came_from() -> None:
    assert TABLE.caller(BASE + 0x5C) == TABLE.find(BASE + 0x5C)
    assert TABLE.caller(BASE + 0x80) == Located("do_0001_call", 0x40, 0x40)
    assert TABLE.find(BASE + 0x80) == Located("do_0002_call", 0, 0x40)
    assert TABLE.caller(BASE) is None


def test_the_first_of_several_names_at_one_address() -> None:
    assert TABLE.find(BASE) == Located("startup_64", 0, 0x40)
    assert TABLE.address("_text") == TABLE.address("_stext") == BASE
    assert TABLE.range("_text") == Range(BASE, BASE + 0x40)


@pytest.mark.parametrize("address", [0, 0x1000, BASE - 1, BASE + 0x3100, 2**64 - 1, 2**64, -1])
def test_addresses_that_are_not_the_kernels(address: int) -> None:
    assert TABLE.find(address) is None
    assert TABLE.text(address) == f"{address:#x}"
    assert not TABLE.is_code(address)


def test_the_last_byte_of_the_kernel() -> None:
    assert TABLE.address("_end") == BASE + 0x3100 == TABLE.end
    assert TABLE.text(BASE + 0x30FF) == "_einittext+0xeff"


def test_names_that_are_not_there() -> None:
    assert TABLE.address("nothing") is None
    assert TABLE.range("nothing") is None


def test_a_moved_kernel() -> None:
    moved = TABLE.shifted(0x2000000).shifted(0x600000)
    assert moved.address("do_0001_call") == BASE + 0x2600040
    assert moved.text(BASE + 0x2600041) == "do_0001_call+0x1"
    assert moved.find(BASE + 0x40) is None
    assert moved.range("do_0001_call") == Range(BASE + 0x2600040, BASE + 0x2600080)
    assert moved.shifted(-0x2600000) == TABLE


def test_absolute_symbols_do_not_move_and_are_not_found() -> None:
    table = symbol_table([(0x1000, "D", "cpu_info"), *symbols(4)]).shifted(0x200000)
    assert table.address("cpu_info") == 0x1000
    assert table.find(0x1000) is None
    assert table.find(0x201000) is None


def test_code_and_what_is_not() -> None:
    assert TABLE.code == (Range(BASE, BASE + 0x100), Range(BASE + 0x2100, BASE + 0x2200))
    assert TABLE.is_code(BASE + 0xFF)
    assert not TABLE.is_code(BASE + 0x100)
    assert TABLE.is_code(BASE + 0x2100)
    assert TABLE.shifted(0x200000).is_code(BASE + 0x2000FF)


def test_a_table_without_marks_has_an_end() -> None:
    table = symbol_table([(BASE, "t", "a"), (BASE + 8, "t", "b")])
    assert table.code == ()
    assert table.text(BASE + 7) == "a+0x7"
    assert table.find(BASE + 8) is None
    assert len(symbol_table([])) == 0
    assert symbol_table([]).find(BASE) is None


def test_names_of_an_elf_file_in_the_kernels_order() -> None:
    at_one_place = [
        (BASE, "W", "weak"),
        (BASE, "t", "__irf_start"),
        (BASE, "t", "__two"),
        (BASE, "t", "_one"),
        (BASE, "t", "plain"),
    ]
    ordered = [name for _, _, name in in_kernel_order([(BASE + 8, "t", "behind"), *at_one_place])]
    assert ordered == ["plain", "_one", "__two", "__irf_start", "weak", "behind"]
