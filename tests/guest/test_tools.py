from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.errors import HostError
from harness.guest import tools
from harness.guest.tools import GuestTools, build_helper, find_libraries, find_program, find_tools


@pytest.fixture(scope="module")
def found() -> GuestTools:
    return find_tools()


@pytest.fixture(scope="module")
def helper(found: GuestTools, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_helper(found, tmp_path_factory.mktemp("helper"))


def test_the_versions_say_what_goes_in(found: GuestTools) -> None:
    assert re.search(r"\d+\.\d+", found.versions["busybox"])
    assert re.search(r"\d+\.\d+", found.versions["kexec-tools"])
    assert re.fullmatch("[0-9a-f]{12}", found.versions["guest-agent"])


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tools, "SYSTEM_PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="kexec is not installed") as caught:
        find_program("kexec", "kexec-tools")
    assert "package kexec-tools" in caught.value.hint
    with pytest.raises(HostError, match="busybox is not installed") as caught:
        find_tools()
    assert "package busybox-static" in caught.value.hint


def test_a_program_outside_a_users_path_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program("kexec", "kexec-tools").name == "kexec"


def test_a_dynamic_busybox_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copy("/bin/true", tmp_path / "busybox")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(HostError, match="not statically linked") as caught:
        find_tools()
    assert "busybox-static" in caught.value.hint


def test_the_libraries_are_those_of_ldd(found: GuestTools) -> None:
    text = subprocess.run(["ldd", found.kexec], capture_output=True, check=True, text=True).stdout
    expected = {Path(path).resolve() for path in re.findall(r"(/\S+) \(0x", text)}
    assert {path for _, path in found.libraries} == expected
    assert "lib64/ld-linux-x86-64.so.2" in {name for name, _ in found.libraries}


def test_a_static_program_has_no_libraries(found: GuestTools) -> None:
    assert find_libraries(found.busybox) == ()


def test_a_missing_library_is_named(found: GuestTools, tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"shared library lib\S+, which \S*kexec needs"):
        find_libraries(found.kexec, [tmp_path])


def test_a_script_is_no_program(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n" + "#" * 100)
    with pytest.raises(HostError, match="not a 64-bit"):
        find_libraries(script)


def test_the_helper_is_built_once(found: GuestTools, tmp_path: Path) -> None:
    first = build_helper(found, tmp_path)
    before = first.stat().st_mtime_ns
    assert build_helper(found, tmp_path) == first
    assert first.stat().st_mtime_ns == before
    assert list(tmp_path.iterdir()) == [first]


def test_the_helper_is_the_same_wherever_it_is_built(found: GuestTools, helper: Path, tmp_path: Path) -> None:
    assert build_helper(found, tmp_path / "elsewhere").read_bytes() == helper.read_bytes()


def test_another_header_is_another_helper(
    found: GuestTools, helper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tmp_path / "files"
    shutil.copytree(tools.FILES, files)
    header = files / "freestanding.h"
    header.write_text(header.read_text().replace("CALL_EXIT = 60", "CALL_EXIT = 231"))
    monkeypatch.setattr(tools, "FILES", files)
    assert build_helper(found, tmp_path / "out").name != helper.name


def test_a_compiler_that_fails_is_quoted(found: GuestTools, tmp_path: Path) -> None:
    broken = GuestTools(found.busybox, found.kexec, found.libraries, Path("/bin/false"))
    with pytest.raises(HostError, match="false failed with status 1"):
        build_helper(broken, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_helper_compiles_without_a_warning(found: GuestTools, tmp_path: Path) -> None:
    source = tools.FILES / "hkexec.c"
    flags = [*tools.HELPER_FLAGS, "-Werror"]
    subprocess.run([found.compiler, *flags, "-o", tmp_path / "hkexec", source], check=True)
    assert (tmp_path / "hkexec").stat().st_size < 8192


def call(helper: Path, *arguments: str, stdin: int = subprocess.DEVNULL) -> tuple[int, str]:
    done = subprocess.run([helper, *arguments], stdin=stdin, capture_output=True, check=False, text=True)
    return done.returncode, done.stdout


# A whole load is never tried here: as root on a real machine it would arm the host's own kexec.
@pytest.mark.parametrize("arguments", [(), ("file",), ("file", "a", "b"), ("drain", "x"), ("files", "a", "b", "c")])
def test_the_helper_explains_its_use(helper: Path, arguments: tuple[str, ...]) -> None:
    status, said = call(helper, *arguments)
    assert status == 255
    assert said.startswith("usage: hkexec file|crash-file KERNEL INITRD CMDLINE")


def test_the_helper_says_which_file_is_missing(helper: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_bytes(b"")
    assert call(helper, "file", "/missing", str(there), "x") == (2, "open kernel: errno 2\n")
    assert call(helper, "file", str(there), "/missing", "x") == (2, "open initrd: errno 2\n")


def test_the_helper_drains_a_terminal_and_nothing_else(helper: Path) -> None:
    master, terminal = pty.openpty()
    try:
        assert call(helper, "drain", stdin=terminal) == (0, "")
    finally:
        os.close(terminal)
        os.close(master)
    assert call(helper, "drain") == (25, "tcdrain: errno 25\n")
