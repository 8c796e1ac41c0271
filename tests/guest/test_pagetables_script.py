"""The guest's part in looking at page tables: scripts under the host's busybox, the C helper on the host itself."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from support.driver_commands import command_data, command_file

from harness.evidence.pagetable import stress
from harness.guest.tools import FILES, HELPER_FLAGS, build_helper, find_tools
from harness.machine.frame import Frame, encode
from harness.model.words.driver import Fault, Service

from .shell import NONCE, running

BASE = 0x3F5E_C000
OBEY = f". {FILES}/pagetables.sh\nwhile :; do link_receive; obey $kind; done"


@pytest.fixture(scope="module")
def helper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_helper(find_tools(), tmp_path_factory.mktemp("helper"), "hstress")


def guest(tmp_path: Path, *, efivars: bool = True, dump: str | None = None) -> str:
    """A script, and a /sys and a /proc for it."""
    sys, proc = tmp_path / "sys", tmp_path / "proc"
    (sys / "firmware/efi/efivars").mkdir(parents=True)
    proc.mkdir()
    mounts = (
        f"proc /proc proc rw 0 0\nefivarfs {sys}/firmware/efi/efivars {'efivarfs' if efivars else 'tmpfs'} rw 0 0\n"
    )
    (proc / "mounts").write_text(mounts)
    if dump is not None:
        (sys / "kernel/debug/page_tables").mkdir(parents=True)
        (sys / "kernel/debug/page_tables/efi").write_text(dump)
    return f"proc={proc}\n{OBEY}"


def answer(tmp_path: Path, script: str, kind: str, fields: dict[str, str] | None = None, path: str = "") -> Frame:
    with running(script, tmp_path, sys=tmp_path / "sys", path=path) as shell:
        shell.send(encode(Frame(NONCE, 1, kind, fields or {})))
        (frame,) = shell.frames(1)
    return frame


def test_the_script_is_valid_shell() -> None:
    done = subprocess.run(["busybox", "sh", "-n", FILES / "pagetables.sh"], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("dump", ["---[ User Space ]---\nrows\n", None])
def test_one_call_of_firmware_and_what_debugfs_says(tmp_path: Path, dump: str | None) -> None:
    frame = answer(tmp_path, guest(tmp_path, dump=dump), "page-tables")
    assert (frame.kind, frame.fields) == ("page-tables", {"runtime": "present", "rc": "0"})
    assert frame.body.decode() == (dump or "")
    (written,) = (tmp_path / "sys/firmware/efi/efivars").iterdir()
    assert re.sub(r"\.t\d+-", ".0-", written.name) == command_file(Service.SET_VARIABLE, 0)
    assert written.read_bytes() == command_data(Fault.NONE)


@pytest.mark.parametrize(("kind", "fields"), [("page-tables", {}), ("stress", {"calls": "1", "loaders": "1"})])
def test_a_kernel_without_efi_variables_says_so(tmp_path: Path, kind: str, fields: dict[str, str]) -> None:
    frame = answer(tmp_path, guest(tmp_path, efivars=False, dump="rows"), kind, fields)
    assert (frame.kind, frame.fields, frame.body) == (kind, {"runtime": "absent"}, b"")


def test_a_call_that_fails_is_reported_with_its_reason(tmp_path: Path) -> None:
    script = guest(tmp_path, dump="rows")
    (tmp_path / "sys/firmware/efi/efivars").rmdir()
    frame = answer(tmp_path, script, "page-tables")
    assert frame.fields["rc"] != "0"
    assert b"can't create" in frame.body
    assert b"rows" not in frame.body


def region(tmp_path: Path, number: int, kind: str, start: int, pages: int) -> None:
    directory = tmp_path / f"sys/firmware/efi/runtime-map/{number}"
    directory.mkdir(parents=True)
    for name, value in (("type", kind), ("phys_addr", f"{start:#x}"), ("num_pages", f"{pages:#x}")):
        (directory / name).write_text(value + "\n")


def test_stress_covers_the_largest_region_of_code(tmp_path: Path) -> None:
    script = guest(tmp_path)
    region(tmp_path, 0, "0x6", 0x3E00_0000, 900)
    region(tmp_path, 1, "0x5", BASE, 256)
    region(tmp_path, 2, "0x5", 0x3F00_0000, 17)
    tool = tmp_path / "bin/hstress"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\necho "$@"\nexit 1\n')
    tool.chmod(0o755)
    frame = answer(tmp_path, script, "stress", {"calls": "20", "loaders": "3"}, f"{tool.parent}:/usr/bin:/bin")
    assert frame.fields == {"runtime": "present", "rc": "1", "base": str(BASE), "bytes": str(256 * 4096)}
    calls, loaders, base, size, command, variable = frame.body.decode().split()
    assert re.sub(r"\.s\d+-", ".0-", Path(command).name) == command_file(Service.SET_VARIABLE, 0)
    assert (calls, loaders, int(base), int(size)) == ("20", "3", BASE, 256 * 4096)
    assert variable.startswith(f"{tmp_path}/sys/firmware/efi/efivars/harness-stress-")


def test_stress_covers_no_more_than_four_mebibytes(tmp_path: Path) -> None:
    script = guest(tmp_path) + "\n"
    region(tmp_path, 0, "0x5", BASE, 4096)
    frame = answer(tmp_path, script, "stress", {"calls": "1", "loaders": "1"})
    assert frame.fields["bytes"] == str(4 * 2**20)


@pytest.mark.parametrize("missing", ["calls", "loaders"])
def test_stress_names_a_missing_field(tmp_path: Path, missing: str) -> None:
    fields = {name: "1" for name in ("calls", "loaders") if name != missing}
    frame = answer(tmp_path, guest(tmp_path), "stress", fields)
    assert (frame.kind, frame.fields["what"].rpartition(": ")[2]) == ("error", f"no field {missing}")


def test_the_helper_compiles_without_a_warning(tmp_path: Path) -> None:
    flags = [*HELPER_FLAGS, "-Werror"]
    subprocess.run([find_tools().compiler, *flags, "-o", tmp_path / "out", FILES / "hstress.c"], check=True)
    assert (tmp_path / "out").stat().st_size < 8192


def stressed(helper: Path, *arguments: object) -> tuple[int, stress.Stress]:
    done = subprocess.run([helper, *map(str, arguments)], capture_output=True, check=False, text=True, timeout=60)
    report = stress.parse(done.stdout)
    assert isinstance(report, stress.Stress), done.stdout
    return done.returncode, report


def test_the_helper_calls_and_loads(helper: Path, tmp_path: Path) -> None:
    status, report = stressed(helper, 500, 2, BASE, 8192, tmp_path / "command", tmp_path / "variable")
    assert (status, report.calls, report.failed, len(report.loaders)) == (0, 500, 0, 2)
    assert [(item.rounds > 0, item.bad, item.error, item.end) for item in report.loaders] == [(True, 0, 0, 0)] * 2
    content = (tmp_path / "variable").read_bytes()
    assert (len(content), content[:4]) == (64, b"\7\0\0\0")
    assert (tmp_path / "command").read_bytes() == command_data(Fault.NONE)


@pytest.mark.parametrize("missing", ["command", "variable"])
def test_calls_that_fail_are_counted(helper: Path, tmp_path: Path, missing: str) -> None:
    files = [tmp_path / "nowhere" / name if name == missing else tmp_path / name for name in ("command", "variable")]
    status, report = stressed(helper, 3, 1, BASE, 4096, *files)
    assert (status, report.failed, report.first) == (1, 3, 2)  # ENOENT


def test_a_variable_that_reads_back_otherwise_is_counted(helper: Path) -> None:
    status, report = stressed(helper, 2, 1, BASE, 4096, "/dev/null", "/dev/null")
    assert (status, report.failed, report.first) == (1, 2, stress.NOT_THE_SAME)


def test_addresses_that_are_taken_are_an_error(helper: Path, tmp_path: Path) -> None:
    status, report = stressed(
        helper, 1, 1, 0x20_0000, 4096, "/dev/null", tmp_path / "it"
    )  # where the program itself lies
    assert (status, report.loaders[0].error) == (1, 17)  # EEXIST


@pytest.mark.parametrize(
    "arguments",
    [(), (1, 1, BASE, 4096, 1), (0, 1, BASE, 4096, 1, 2), (1, 17, BASE, 4096, 1, 2), (1, 1, BASE + 1, 4096, 1, 2)],
)
def test_the_helper_explains_its_use(helper: Path, arguments: tuple[object, ...]) -> None:
    done = subprocess.run([helper, *map(str, arguments)], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stdout.partition(" ")[0]) == (255, "usage:")
