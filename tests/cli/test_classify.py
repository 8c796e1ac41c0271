"""harness classify"""

import io
import json
from pathlib import Path

import pytest

from harness.cli.main import main

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
    assert main(["classify", "--json", str(clean), str(crashed), str(clean)]) == 0
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
    assert main(["classify", str(crashed), str(clean)]) == 0
    one, other = capsys.readouterr().out.splitlines()
    assert one.startswith(f"{crashed}:2: general protection fault in efi_poll  (fault, oops, epoch 0, bytes 16-")
    assert other == f"{clean}: no crash"


def test_an_unreliable_report_is_called_one(tmp_path: Path, capsys):
    path = tmp_path / "cut.log"
    path.write_bytes(b"[    1.000000] general protection fault: 0000 [#1] SMP\n")
    assert main(["classify", str(path)]) == 0
    assert "not reliable: the backtrace is missing" in capsys.readouterr().out


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(OOPS)))
    assert main(["classify", "--json", "-"]) == 0
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
    ]


def test_colours_nuls_and_broken_characters_are_no_binary(tmp_path: Path, capsys):
    path = tmp_path / "console.log"
    path.write_bytes(b"\0\0\x1b[2J\x1b[01;01H\xff\xfe garbage \r\n" + OOPS)
    assert main(["classify", str(path)]) == 0
    assert "general protection fault in efi_poll" in capsys.readouterr().out


def test_an_empty_log_has_no_crash(tmp_path: Path, capsys):
    path = tmp_path / "empty.log"
    path.touch()
    assert main(["classify", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: no crash\n"


def test_all_crashes_of_a_log(tmp_path: Path, clean: Path, capsys):
    path = tmp_path / "two.log"
    path.write_bytes(clean.read_bytes() + OOPS + b"[    2.000000] ---[ end trace 0 ]---\n" + clean.read_bytes() + OOPS)
    assert main(["classify", "--json", str(path)]) == 0
    (only,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert main(["classify", "--json", "--all", str(path), str(clean)]) == 0
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
    assert main(["classify", "--json", str(log)]) == 0
    before = json.loads(capsys.readouterr().out)
    assert main(["classify", "--json", "--kallsyms", str(symbols), str(log)]) == 0
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
