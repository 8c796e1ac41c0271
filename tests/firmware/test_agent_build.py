from __future__ import annotations

import hashlib
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import HostError
from harness.firmware.build import SOURCES, build_agent, parse_map
from harness.model.words.driver import FirmwareArch

needs_compiler = pytest.mark.skipif(
    shutil.which("clang") is None or shutil.which("lld-link") is None, reason="clang and lld are not installed"
)


@needs_compiler
def test_two_builds_in_different_places_give_the_same_bytes(tmp_path: Path) -> None:
    shutil.copytree(SOURCES, tmp_path / "elsewhere")
    first = build_agent(tmp_path / "a")
    second = build_agent(tmp_path / "some where/b", sources=tmp_path / "elsewhere")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.driver.path.read_bytes() == second.driver.path.read_bytes()
    assert (first.sha256, first.source_sha256) == (second.sha256, second.source_sha256)
    assert (first.symbols, first.driver) == (second.symbols, replace(second.driver, path=first.driver.path))


@needs_compiler
def test_what_comes_out_is_an_efi_application_that_qemu_can_start(tmp_path: Path) -> None:
    image = build_agent(tmp_path).path.read_bytes()
    pe = struct.unpack_from("<I", image, 0x3C)[0]
    assert (image[:2], image[pe : pe + 4]) == (b"MZ", b"PE\0\0")
    machine, _, timestamp = struct.unpack_from("<HHI", image, pe + 4)
    characteristics = struct.unpack_from("<H", image, pe + 22)[0]
    magic = struct.unpack_from("<H", image, pe + 24)[0]
    subsystem = struct.unpack_from("<H", image, pe + 24 + 68)[0]
    assert (machine, magic, subsystem, timestamp) == (0x8664, 0x20B, 10, 0)
    assert not characteristics & 1, "IMAGE_FILE_RELOCS_STRIPPED: firmware could load it at one address only"
    # QEMU's -kernel takes byte 0x1f1 as the number of 512 byte setup sectors (0: 4) and must find that many.
    assert image[0x1F1] == 0
    assert image[0x202:0x206] != b"HdrS"
    assert len(image) > 5 * 512


def headers(image: bytes) -> tuple[int, int, int, int]:
    """Machine, magic of the optional header, subsystem, section alignment."""
    pe = struct.unpack_from("<I", image, 0x3C)[0]
    machine, magic = struct.unpack_from("<H", image, pe + 4)[0], struct.unpack_from("<H", image, pe + 24)[0]
    subsystem, alignment = struct.unpack_from("<H", image, pe + 92)[0], struct.unpack_from("<I", image, pe + 56)[0]
    return machine, magic, subsystem, alignment


@needs_compiler
@pytest.mark.parametrize(
    ("arch", "machine", "magic"), [(FirmwareArch.X64, 0x8664, 0x20B), (FirmwareArch.IA32, 0x14C, 0x10B)]
)
def test_the_driver_is_a_runtime_driver_with_pages_of_its_own_for_code(
    tmp_path: Path, arch: FirmwareArch, machine: int, magic: int
) -> None:
    agent = build_agent(tmp_path, arch=arch)
    assert agent.arch is arch
    assert headers(agent.driver.path.read_bytes()) == (machine, magic, 12, 4096)
    assert headers(agent.path.read_bytes())[:3] == (machine, magic, 10)
    assert agent.driver.sha256 == hashlib.sha256(agent.driver.path.read_bytes()).hexdigest()


@needs_compiler
@pytest.mark.parametrize("arch", FirmwareArch)
def test_symbols_are_the_names_in_c(tmp_path: Path, arch: FirmwareArch) -> None:
    agent = build_agent(tmp_path, arch=arch)
    names = agent.driver.symbols
    assert {"fault_loop", "fault_read", "hook_set_variable", "fault_data_target", "driver_main"} <= set(names)
    assert {"efi_main", "wait_for", "serial_write", "memcpy"} <= set(agent.symbols)
    assert list(names.values()) == sorted(names.values())
    image = agent.driver.path.read_bytes()
    pe = struct.unpack_from("<I", image, 0x3C)[0]
    assert names["driver_main"] == struct.unpack_from("<I", image, pe + 40)[0], "the entry point"
    assert not [name for name in (*names, *agent.symbols) if name.startswith(("?", "_"))]


MAP = """ driver

 Timestamp is 00000000 (Thu Jan  1 00:00:00 1970)

 Preferred load address is 0000000140000000

 Start         Length     Name                   Class
 0001:00000000 00000c11H .text                   CODE

  Address         Publics by Value              Rva+Base               Lib:Object

 0001:00000bda       fault_loop                 0000000140001bda     driver-faults.obj
 0001:00000000       driver_main                0000000140001000     driver-driver.obj
 0002:0000001d       ??_C@_04GKOOIABA@loop?$AA@ 000000014000201d     driver-driver.obj

 entry point at         0001:00000000

 Static symbols

 0001:00000940       enter                      0000000140001940     driver-driver.obj
"""


def test_a_map_file() -> None:
    assert parse_map(MAP) == {"driver_main": 0x1000, "enter": 0x1940, "fault_loop": 0x1BDA}
    assert list(parse_map(MAP)) == ["driver_main", "enter", "fault_loop"]
    old = MAP.replace("0000000140", "000040").replace(" driver_main", "_driver_main").replace(" enter", "_enter")
    assert parse_map(old.replace(" fault_loop", "_fault_loop")) == parse_map(MAP)
    assert parse_map("") == {}
    assert parse_map("not a map") == {}


@needs_compiler
def test_the_cache_is_used_and_follows_the_sources(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    shutil.copytree(SOURCES, sources)
    first = build_agent(tmp_path / "cache", sources=sources)
    first.path.write_bytes(b"from the cache")
    again = build_agent(tmp_path / "cache", sources=sources)
    assert again.path.read_bytes() == b"from the cache"
    assert again.driver == first.driver
    assert again.symbols == first.symbols
    with (sources / "agent.h").open("a") as header:
        header.write("/* changed */\n")
    other = build_agent(tmp_path / "cache", sources=sources)
    assert other.path != first.path
    assert other.source_sha256 != first.source_sha256
    files = [image.path for image in (first, other, first.driver, other.driver)]
    files += [file.with_suffix(".map") for file in files]
    assert sorted(tmp_path.joinpath("cache").iterdir()) == sorted(files), "nothing is left over"


@needs_compiler
def test_what_is_missing_in_the_cache_is_made_again(tmp_path: Path) -> None:
    first = build_agent(tmp_path)
    for lost in (first.driver.path, first.path.with_suffix(".map")):
        lost.unlink()
        assert build_agent(tmp_path) == first
        assert lost.is_file()


@needs_compiler
def test_a_change_of_the_driver_makes_another_agent_as_well(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    shutil.copytree(SOURCES, sources)
    first = build_agent(tmp_path / "cache", sources=sources)
    with (sources / "driver/faults.h").open("a") as header:
        header.write("/* changed */\n")
    assert build_agent(tmp_path / "cache", sources=sources).source_sha256 != first.source_sha256
    assert build_agent(tmp_path / "cache", arch=FirmwareArch.IA32).source_sha256 != first.source_sha256


@needs_compiler
@pytest.mark.parametrize(
    ("mistake", "shown"),
    [("int twice(void) { return 2 }\n", "expected ';'"), ("static int unused;\n", "unused variable")],
)
def test_a_compile_error_shows_the_compilers_last_lines(tmp_path: Path, mistake: str, shown: str) -> None:
    sources = tmp_path / "sources"
    shutil.copytree(SOURCES, sources)
    with (sources / "main.c").open("a") as main:
        main.write(mistake)
    with pytest.raises(HostError, match="clang failed on the EFI agent") as caught:
        build_agent(tmp_path / "cache", sources=sources)
    assert shown in caught.value.hint
    assert list((tmp_path / "cache").iterdir()) == []


@needs_compiler
def test_a_link_error_is_told_as_well(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    shutil.copytree(SOURCES, sources)
    (sources / "serial.c").unlink()
    with pytest.raises(HostError, match=r"lld-link.* failed on the EFI agent") as caught:
        build_agent(tmp_path / "cache", sources=sources)
    assert "undefined symbol: serial_write" in caught.value.hint


@pytest.mark.parametrize(("present", "missing", "package"), [((), "clang", "clang"), (("clang",), "lld-link", "lld")])
def test_a_missing_program_names_its_package(
    tmp_path: Path, present: tuple[str, ...], missing: str, package: str
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in present:
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    with pytest.raises(HostError, match=f"{missing} is not installed") as caught:
        build_agent(tmp_path / "cache", search_path=str(programs))
    assert caught.value.hint == f"apt-get install {package}"


def test_versioned_programs_do_too_and_the_newest_is_taken(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("clang-14", "clang-15", "lld-link-14"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    (programs / "clang-15").write_text("#!/bin/sh\necho this is the newest\nexit 3\n")
    with pytest.raises(HostError, match="clang-15 failed") as caught:
        build_agent(tmp_path / "cache", search_path=str(programs))
    assert caught.value.hint == "this is the newest"


@needs_compiler
def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HostError, match="cannot be kept in"):
        build_agent(tmp_path / "file" / "cache")


@needs_compiler
def test_no_sources(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no sources of the EFI agent"):
        build_agent(tmp_path / "cache", sources=tmp_path)
