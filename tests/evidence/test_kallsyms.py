from __future__ import annotations

import random

import pytest

from harness.evidence.code import kallsyms
from harness.evidence.code.symbols import SymbolTable
from harness.evidence.defect import Defect

from .kallsyms_image import BASE, Layout, image, symbols

PERCPU = [(0, "D", "fixed_percpu_data"), (0x1000, "D", "cpu_debug_store")]


def decoded(data: bytes) -> SymbolTable:
    found = kallsyms.decode(data)
    assert isinstance(found, SymbolTable), found
    return found


def rows(table: SymbolTable) -> list[tuple[int, str, str]]:
    return list(zip(table.addresses, table.types, table.names, strict=True))


@pytest.mark.parametrize("layout", Layout)
def test_every_order_of_the_tables(layout: Layout) -> None:
    assert rows(decoded(image(layout, symbols()))) == symbols()


@pytest.mark.parametrize("layout", [layout for layout in Layout if layout is not Layout.V7_2])
def test_per_cpu_symbols_are_absolute(layout: Layout) -> None:
    assert rows(decoded(image(layout, symbols(), absolute=PERCPU))) == [*PERCPU, *symbols()]


def test_counts_at_the_border_of_a_marker() -> None:
    base = len(symbols(1)) - 1
    for count in (256, 257, 512):
        assert len(decoded(image(Layout.V6_12, symbols(count - base)))) == count


def test_no_kallsyms_at_all() -> None:
    found = kallsyms.decode(bytes(100_000))
    assert isinstance(found, Defect)
    assert "no kallsyms token table" in found.text
    assert isinstance(kallsyms.decode(b""), Defect)


def changed(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def test_a_changed_token_is_noticed() -> None:
    data = image(Layout.V6_12, symbols())
    at = data.index(b"rust\0Tdo_\0")
    found = kallsyms.decode(changed(data, at, b"rus\0t"))
    assert isinstance(found, Defect)
    assert "no kallsyms token table" in found.text


def test_an_absurd_count_is_noticed() -> None:
    data = image(Layout.V6_12, symbols())
    at = data.index(len(symbols()).to_bytes(4, "little"))
    for count in (0, 1, len(symbols()) - 1, len(symbols()) + 1, 2**21 - 1, 2**32 - 1):
        found = kallsyms.decode(changed(data, at, count.to_bytes(4, "little")))
        assert isinstance(found, Defect), count
        assert "but no names" in found.text


def test_a_changed_marker_is_noticed() -> None:
    data = image(Layout.V6_12, symbols())
    tokens = data.index(b"0\x001\x002\x003\x00", 0x1100) - 63
    second = tokens - 4 - 2 * 4  # three markers, and a gap up to a multiple of 8
    assert 0 < int.from_bytes(data[second : second + 4], "little") < int.from_bytes(data[second + 4 :][:4], "little")
    found = kallsyms.decode(changed(data, second, bytes([data[second] ^ 1])))
    assert isinstance(found, Defect)
    assert "but no names" in found.text


def test_addresses_out_of_order_are_noticed() -> None:
    swapped = symbols()
    swapped[10], swapped[20] = swapped[20], swapped[10]
    found = kallsyms.decode(image(Layout.V6_12, swapped))
    assert isinstance(found, Defect)
    assert "no addresses that fit" in found.text


@pytest.mark.parametrize("layout", Layout)
def test_an_image_that_was_cut_short(layout: Layout) -> None:
    data = image(layout, symbols())
    for end in range(0, len(data) - 64 - 3 * len(symbols()), 997):
        assert isinstance(kallsyms.decode(data[:end]), Defect), end


@pytest.mark.parametrize("layout", Layout)
def test_damage_never_raises(layout: Layout) -> None:
    data, random_ = image(layout, symbols(100)), random.Random(7)  # noqa: S311
    for _ in range(150):
        broken = bytearray(data)
        for _ in range(random_.choice([1, 3, 50])):
            broken[random_.randrange(len(broken))] = random_.randrange(256)
        assert isinstance(kallsyms.decode(bytes(broken)), SymbolTable | Defect)


def test_hostile_bytes_end() -> None:
    """Every word a plausible count, every name one byte long: the search gives up instead of taking hours."""
    data = image(Layout.V6_12, symbols())
    table = data[data.index(b"0\x001\x002\x003\x00", 0x1100) - 0x30 :]
    assert isinstance(kallsyms.decode(b"\x01T\x01\x00" * 500_000 + table), Defect)


def test_text_of_proc_kallsyms() -> None:
    found = kallsyms.parse("ffffffff81000000 T _text\nffffffff81000010 t foo\nffffffffc0000000 t bar\t[virtio]\n")
    assert isinstance(found, SymbolTable)
    assert rows(found) == [(BASE, "T", "_text"), (BASE + 16, "t", "foo")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("0000000000000000 T _text\n", "kptr_restrict"),
        ("ffffffffffffffff B The real System.map is in the linux-image-6.1.0-dbg package\n", "line 1"),
        ("ffffffff81000000 T _text\nnonsense\n", "line 2"),
        ("0000000000001000 D x\n", "no address in it is a kernel's"),
    ],
)
def test_what_is_no_list_of_symbols(text: str, why: str) -> None:
    found = kallsyms.parse(text)
    assert isinstance(found, Defect)
    assert why in found.text
