"""harness classify"""

import bz2
import gzip
import io
import json
import lzma
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.cli.dispatch import main

OOPS = b"""\
[    1.0] clean
[    1.000000] general protection fault: 0000 [#1] SMP
[    1.000100] RIP: 0010:efi_poll+0x1/0x2
"""


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    path = tmp_path / "crashed.log"
    path.write_bytes(OOPS)
    return path


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    path = tmp_path / "clean.log"
    path.write_bytes(b"[    0.000000] Linux version 6.1.0\n")
    return path


def test_json_is_one_object_a_line_in_the_order_given(crashed: Path, clean: Path, capsys):
    assert main(["classify", "--json", str(clean), str(crashed), str(clean)]) == 1
    first, second, third = map(json.loads, capsys.readouterr().out.splitlines())
    nothing = dict.fromkeys(("title", "kind", "severity", "start", "end", "line", "epoch", "frame", "corrupted"))
    nothing |= {"signature": None, "backtrace": None}
    assert first == third == {"file": str(clean), **nothing}
    signature = second.pop("signature")
    assert len(signature) == 16
    assert second == {
        "file": str(crashed),
        "title": "general protection fault in efi_poll",
        "kind": "fault",
        "severity": "oops",
        "start": OOPS.index(b"[    1.000000]"),
        "end": len(OOPS),
        "line": 2,
        "epoch": 0,
        "frame": "efi_poll",
        "corrupted": None,
        "backtrace": ["efi_poll+0x1/0x2"],
    }


def test_lines_for_people(crashed: Path, clean: Path, capsys):
    assert main(["classify", str(crashed), str(clean)]) == 1
    one, other = capsys.readouterr().out.splitlines()
    assert one.startswith(f"{crashed}:2: general protection fault in efi_poll  (fault, oops, epoch 0, bytes 16-")
    assert other == f"{clean}: no crash"


def test_an_unreliable_report_is_called_one(tmp_path: Path, capsys):
    path = tmp_path / "cut.log"
    path.write_bytes(b"[    1.000000] general protection fault: 0000 [#1] SMP\n")
    assert main(["classify", str(path)]) == 1
    assert "not reliable: the backtrace is missing" in capsys.readouterr().out


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(OOPS)))
    assert main(["classify", "--json", "-"]) == 1
    assert json.loads(capsys.readouterr().out)["title"] == "general protection fault in efi_poll"


def test_a_bad_log_is_said_and_the_others_are_classified(crashed: Path, tmp_path: Path, capsys):
    binary = tmp_path / "vmlinuz"
    binary.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(4000))
    missing = tmp_path / "missing.log"
    assert main(["classify", "--json", str(missing), str(crashed), str(tmp_path), str(binary)]) == 2
    said = capsys.readouterr()
    assert [json.loads(line)["file"] for line in said.out.splitlines()] == [str(crashed)]
    assert said.err.splitlines() == [
        f"harness: {missing}: no such file or directory",
        f"harness: {tmp_path}: is a directory",
        f"harness: {binary}: not a console log: it begins with binary data",
        "  give the text that was printed",
    ]


def test_colours_nuls_and_broken_characters_are_no_binary(tmp_path: Path, capsys):
    path = tmp_path / "console.log"
    path.write_bytes(b"\0\0\x1b[2J\x1b[01;01H\xff\xfe garbage \r\n" + OOPS)
    assert main(["classify", str(path)]) == 1
    assert "general protection fault in efi_poll" in capsys.readouterr().out


def test_an_empty_log_has_no_crash(tmp_path: Path, capsys):
    path = tmp_path / "empty.log"
    path.touch()
    assert main(["classify", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: no crash\n"


def test_all_crashes_of_a_log(tmp_path: Path, clean: Path, capsys):
    path = tmp_path / "two.log"
    path.write_bytes(clean.read_bytes() + OOPS + b"[    2.000000] ---[ end trace 0 ]---\n" + clean.read_bytes() + OOPS)
    assert main(["classify", "--json", str(path)]) == 1
    (only,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert main(["classify", "--json", "--all", str(path), str(clean)]) == 1
    one, other, none = map(json.loads, capsys.readouterr().out.splitlines())
    assert one == only
    assert [(row["line"], row["epoch"], row["title"]) for row in (one, other)] == [
        (3, 1, "general protection fault in efi_poll"),
        (8, 2, "general protection fault in efi_poll"),
    ]
    assert none["title"] is None


BARE = b"""\
[    1.000000] BUG: kernel NULL pointer dereference, address: 0000000000000000
[    1.000100] RIP: 0010:0xffffffff81600044
[    1.000200] Call Trace:
[    1.000300]  0xffffffff81600080
[    1.000400] Kernel Offset: 0x600000 from 0xffffffff81000000 (relocation range: 0xffffffff80000000-0xffffffffbfffffff)
"""
KALLSYMS = """\
ffffffff81000000 T _text
ffffffff81000040 t efi_poll
ffffffff81000080 t next_function
ffffffff81000100 T _etext
"""


def test_bare_addresses_get_names(tmp_path: Path, capsys):
    log, symbols = tmp_path / "bare.log", tmp_path / "kallsyms"
    log.write_bytes(BARE)
    symbols.write_text(KALLSYMS)
    assert main(["classify", "--json", str(log)]) == 1
    before = json.loads(capsys.readouterr().out)
    assert main(["classify", "--json", "--kallsyms", str(symbols), str(log)]) == 1
    after = json.loads(capsys.readouterr().out)
    assert before["title"] == "BUG: unable to handle kernel NULL pointer dereference in corrupted"
    assert before["backtrace"] == ["0xffffffff81600044", "0xffffffff81600080"]
    assert after["title"] == "BUG: unable to handle kernel NULL pointer dereference in efi_poll"
    assert after["backtrace"] == ["efi_poll+0x4/0x40", "efi_poll+0x40/0x40"]
    assert (before["start"], before["end"]) == (after["start"], after["end"])


@pytest.mark.parametrize("option", ["--vmlinux", "--kallsyms"])
def test_a_file_without_symbols_is_refused(crashed: Path, tmp_path: Path, option: str, capsys):
    assert main(["classify", option, str(crashed), str(crashed)]) == 2
    assert "no line of kallsyms" in capsys.readouterr().err
    assert main(["classify", option, str(tmp_path / "missing"), str(crashed)]) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["clean"], 0),
        (["clean", "clean"], 0),
        (["clean", "crashed"], 1),
        (["crashed", "missing"], 2),
        (["clean", "missing"], 2),
    ],
)
def test_the_exit_status_says_crash_none_or_no_log(names: list[str], code: int, crashed: Path, clean: Path, capsys):
    files = {"clean": clean, "crashed": crashed, "missing": clean.with_name("missing")}
    assert main(["classify", *(str(files[name]) for name in names)]) == code
    assert main(["classify", "--all", *(str(files[name]) for name in names)]) == code


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


PACKED = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd}
NEEDS_ZSTD = pytest.mark.skipif(shutil.which("zstd") is None, reason="the program zstd is not here")
BY_NAME = [pytest.param(name, marks=NEEDS_ZSTD if name == "zst" else ()) for name in PACKED]


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("pipe", [False, True])
def test_packed_logs_are_read(name: str, pipe: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    packed = PACKED[name](b"[    0.500000] clean\n" * 20_000 + OOPS)
    path = tmp_path / f"console.log.{name}"
    path.write_bytes(packed)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(packed)))
    assert main(["classify", "--json", "-" if pipe else str(path)]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["title"], report["line"]) == ("general protection fault in efi_poll", 20_002)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_damaged_packed_log_is_refused(name: str, tmp_path: Path, capsys):
    packed = PACKED[name](random.Random(1).randbytes(20_000).hex().encode())  # noqa: S311
    path = tmp_path / f"console.log.{name}"
    path.write_bytes(packed[: len(packed) // 2])
    assert main(["classify", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"harness: {path}: it is packed by " in said.err


@pytest.mark.parametrize(
    ("magic", "program"),
    [(b"\x04\x22\x4d\x18", "lz4"), (b"LZIP\x01", "lzip"), (b"PK\x03\x04", "zip"), (b"\x1f\x9d\x90", "compress")],
)
def test_what_cannot_be_unpacked_is_refused(magic: bytes, program: str, tmp_path: Path, capsys):
    path = tmp_path / "console.log.packed"
    path.write_bytes(magic + b"text that would be no crash " * 100)
    assert main(["classify", str(path)]) == 2
    assert capsys.readouterr().err == (
        f"harness: {path}: not a console log: it is packed by {program}\n  unpack it first\n"
    )


def test_without_the_program_zstd_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    path = tmp_path / "console.log.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert main(["classify", str(path)]) == 2
    assert "there is no program zstd here" in capsys.readouterr().err


def test_bytes_that_are_no_text_are_refused(tmp_path: Path, capsys):
    path = tmp_path / "encrypted"
    path.write_bytes(random.Random(2).randbytes(100_000))  # noqa: S311
    assert main(["classify", str(path)]) == 2
    assert "binary data" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_what_windows_writes_is_read(encoding: str, tmp_path: Path, capsys):
    path = tmp_path / "putty.log"
    bom = b"\xfe\xff" if encoding == "utf-16-be" else b""
    path.write_bytes(bom + OOPS.decode().replace("\n", "\r\n").encode(encoding))
    assert main(["classify", "--json", str(path)]) == 1
    assert json.loads(capsys.readouterr().out)["title"] == "general protection fault in efi_poll"


def test_a_flood_is_counted_and_what_follows_is_told(tmp_path: Path, capsys):
    path = tmp_path / "flood.log"
    warning = "[{0:5}.000000] WARNING: CPU: {1} PID: {0} at fs/x.c:{0} flood_{0}+0x1/0x2\n"
    path.write_text("".join(warning.format(number, number % 4) for number in range(300)) + OOPS.decode())
    assert main(["classify", "--all", "--json", str(path)]) == 1
    said = capsys.readouterr()
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert len(rows) == 101
    assert [row["title"] for row in rows[98:]] == [
        "WARNING in flood_98", "WARNING in flood_99", "general protection fault in efi_poll",
    ]  # fmt: skip
    assert said.err == f"harness: {path}: 200 more like this are not listed: WARNING in flood_99\n"
