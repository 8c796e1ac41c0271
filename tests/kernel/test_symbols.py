"""Symbols of kernels that can be booted: out of the image, out of a vmlinux, from the cache."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from evidence.kallsyms_image import BASE, Layout, image
from evidence.kallsyms_image import symbols as some_symbols

from harness.cache import Cache, default_cache
from harness.evidence.code import kallsyms
from harness.evidence.code.symbols import SymbolTable
from harness.evidence.defect import Defect
from harness.kernel.build import built
from harness.kernel.image import images, payload, symbols
from harness.kernel.registry import Registry
from harness.model.kernel import KernelImage

from .test_payload import bzimage


def kernel(directory: Path, layout: Layout = Layout.V6_12, count: int = 300) -> KernelImage:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "vmlinuz"
    path.write_bytes(bzimage(gzip.compress(image(layout, some_symbols(count)))))
    return images.from_file("mine", path)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def names(found: SymbolTable | Defect | None) -> int:
    assert isinstance(found, SymbolTable), found
    return len(found)


@pytest.mark.parametrize("layout", Layout)
def test_out_of_the_image_and_then_from_the_cache(tmp_path: Path, cache: Cache, layout: Layout) -> None:
    mine = kernel(tmp_path / "boot", layout)
    first = symbols.kernel_symbols(mine, cache)
    assert names(first) == len(some_symbols(300))
    mine.image.unlink()
    assert symbols.kernel_symbols(mine, cache) == first


@pytest.mark.parametrize("damage", ["", "3\nffffffff81000000 T _text\n", "nonsense"])
def test_what_was_cut_short_in_the_cache_is_made_again(tmp_path: Path, cache: Cache, damage: str) -> None:
    mine = kernel(tmp_path / "boot")
    first = symbols.kernel_symbols(mine, cache)
    (kept,) = cache.root.glob("symbols/*/symbols")
    kept.write_text(damage)
    assert symbols.kernel_symbols(mine, cache) == first
    assert kept.read_text() != damage


def test_a_system_map_of_the_same_build_knows_more(tmp_path: Path, cache: Cache) -> None:
    mine = kernel(tmp_path / "boot")
    more = [*some_symbols(300), (BASE + 0x9000, "d", "only_here")]
    path = mine.image.with_name(f"System.map-{mine.release}")
    path.write_text("".join(f"{address:016x} {kind} {name}\n" for address, kind, name in more))
    assert names(symbols.kernel_symbols(mine, cache)) == len(more)


def test_a_system_map_of_another_build_is_not_believed(tmp_path: Path, cache: Cache) -> None:
    mine = kernel(tmp_path / "boot")
    other = [(address + 0x40, kind, name) for address, kind, name in [*some_symbols(300), (BASE, "t", "extra")]]
    mine.image.with_name("System.map").write_text("".join(f"{a:016x} {kind} {name}\n" for a, kind, name in other))
    found = symbols.kernel_symbols(mine, cache)
    assert names(found) == len(some_symbols(300))
    assert found is not None
    assert found.address("extra") is None


def test_labels_of_the_assembler_do_not_count_against_a_system_map(tmp_path: Path, cache: Cache) -> None:
    some = [*some_symbols(300)[:-1], (BASE + 0x7000, "d", ".LC6"), some_symbols(300)[-1]]
    path = tmp_path / "vmlinuz"
    path.write_bytes(bzimage(gzip.compress(image(Layout.V5_10, sorted(some, key=lambda symbol: symbol[0])))))
    mine = images.from_file("mine", path)
    more = [*some_symbols(300), (BASE + 0x7100, "d", "one"), (BASE + 0x7200, "d", "other")]
    (tmp_path / "System.map").write_text("".join(f"{address:016x} {kind} {name}\n" for address, kind, name in more))
    found = symbols.kernel_symbols(mine, cache)
    assert found is not None
    assert found.address("other") == BASE + 0x7200


def test_a_kernel_without_kallsyms(tmp_path: Path, cache: Cache) -> None:
    path = tmp_path / "vmlinuz"
    path.write_bytes(bzimage(gzip.compress(b"\x7fELF" + bytes(5000))))
    mine = images.from_file("mine", path)
    found = symbols.read_symbols(mine, cache)
    assert isinstance(found, Defect)
    assert "CONFIG_KALLSYMS" in found.text
    assert symbols.kernel_symbols(mine, cache) is None
    (tmp_path / "System.map").write_text("ffffffff81000000 T _text\n")
    assert names(symbols.kernel_symbols(mine, cache)) == 1


@pytest.mark.parametrize(
    ("contents", "why"),
    [(None, "cannot be read"), (b"", "contents have changed"), (b"other", "contents have changed")],
)
def test_an_image_that_changed_or_went(tmp_path: Path, cache: Cache, contents: bytes | None, why: str) -> None:
    mine = kernel(tmp_path / "boot")
    mine.image.unlink()
    if contents is not None:
        mine.image.write_bytes(contents)
    found = symbols.read_symbols(mine, cache)
    assert isinstance(found, Defect)
    assert why in found.text


def test_a_damaged_payload_is_a_defect(tmp_path: Path, cache: Cache) -> None:
    mine = kernel(tmp_path / "boot")
    data = bytearray(mine.image.read_bytes())
    data[-40] ^= 0xFF
    mine.image.write_bytes(data)
    mine = images.from_file("mine", mine.image)
    found = symbols.read_symbols(mine, cache)
    assert isinstance(found, Defect)
    assert "damaged" in found.text
    assert not list(cache.root.glob("symbols/*"))


def test_files_that_a_user_gives(tmp_path: Path) -> None:
    stripped = tmp_path / "vmlinux"
    stripped.write_bytes(image(Layout.V7_2, some_symbols(300)))
    assert names(symbols.read_file(stripped)) == len(some_symbols(300))
    text = tmp_path / "kallsyms"
    text.write_text("ffffffff81000000 T _text\n")
    assert names(symbols.read_file(text)) == 1
    for path in (tmp_path, tmp_path / "missing", stripped.with_name("x")):
        assert isinstance(symbols.read_file(path), Defect)


@pytest.mark.qemu
@pytest.mark.parametrize("name", ["tiny-5.10", "tiny-6.1", "tiny-6.12"])
def test_kernels_of_the_registry(name: str) -> None:
    """kallsyms out of the image are a part of the System.map of the same build, and of its vmlinux."""
    recipe = Registry.load(Path(__file__).parents[2] / "kernels").recipe(name)
    made = built.look(recipe, default_cache()) if recipe is not None else None
    if made is None:
        pytest.skip(f"{name} is not built")
    own = kallsyms.decode(payload.unpack(made.image.image.read_bytes(), name))
    build = symbols.read_file(made.directory / "System.map")
    richest = symbols.kernel_symbols(made.image, default_cache())
    assert isinstance(own, SymbolTable)
    assert isinstance(build, SymbolTable)
    # types differ: kallsyms makes per-CPU symbols absolute; and 5.10 has labels of the assembler in it
    known = set(zip(build.addresses, build.names, strict=True))
    assert [one for one in zip(own.addresses, own.names, strict=True) if one not in known and one[1][0] != "."] == []
    assert names(richest) >= len(build)
    assert richest is not None
    assert richest.text(own.address("panic") or 0) == "panic+0x0"
