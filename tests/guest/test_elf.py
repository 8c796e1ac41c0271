from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.guest.elf import Elf, modinfo
from harness.guest.tools import find_program

from . import fake_elf


def test_modinfo_gives_the_first_of_a_repeated_key() -> None:
    data = fake_elf.with_section(".modinfo", b"depends=a,b\0\0alias=one\0alias=two\0license=GPL\0noise\0")
    assert modinfo(data) == {"depends": "a,b", "alias": "one", "license": "GPL"}


def test_a_file_without_modinfo_is_no_module() -> None:
    with pytest.raises(ValueError, match="not a kernel module"):
        modinfo(fake_elf.with_section(".text", b"x"))


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"\x7fELF\x01\x01" + bytes(100), b"#!/bin/sh\n" + bytes(100)])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a 64-bit"):
        Elf(data)


@pytest.mark.parametrize("length", [64, 70, 100, 200])
def test_a_file_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="cut off"):
        modinfo(fake_elf.module(depends="a" * 30)[:length])


def test_the_dynamic_section_is_read_as_readelf_reads_it() -> None:
    program = find_program("kexec", "kexec-tools")
    text = subprocess.run(["readelf", "-ld", program], capture_output=True, check=True, text=True).stdout
    assert list(Elf.read(program).needed) == re.findall(r"Shared library: \[(.*)\]", text)
    assert [Elf.read(program).interpreter] == re.findall(r"interpreter: (.*)\]", text)


def test_a_static_program_needs_nothing() -> None:
    busybox = Elf.read(Path(shutil.which("busybox") or ""))
    assert (busybox.interpreter, busybox.needed) == (None, ())
