from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest

from harness.errors import HostError
from harness.firmware.build import SOURCES, build_agent

needs_compiler = pytest.mark.skipif(
    shutil.which("clang") is None or shutil.which("lld-link") is None, reason="clang and lld are not installed"
)


@needs_compiler
def test_two_builds_in_different_places_give_the_same_bytes(tmp_path: Path) -> None:
    shutil.copytree(SOURCES, tmp_path / "elsewhere")
    first = build_agent(tmp_path / "a")
    second = build_agent(tmp_path / "some where/b", sources=tmp_path / "elsewhere")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert (first.sha256, first.source_sha256) == (second.sha256, second.source_sha256)


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


@needs_compiler
def test_the_cache_is_used_and_follows_the_sources(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    shutil.copytree(SOURCES, sources)
    first = build_agent(tmp_path / "cache", sources=sources)
    first.path.write_bytes(b"from the cache")
    assert build_agent(tmp_path / "cache", sources=sources).path.read_bytes() == b"from the cache"
    with (sources / "agent.h").open("a") as header:
        header.write("/* changed */\n")
    other = build_agent(tmp_path / "cache", sources=sources)
    assert other.path != first.path
    assert other.source_sha256 != first.source_sha256
    assert sorted(tmp_path.joinpath("cache").iterdir()) == sorted([first.path, other.path]), "nothing is left over"


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
