"""harness memmap"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from goldens import TESTDATA
from hypothesis import given, settings
from hypothesis import strategies as st
from support.recorded import laid_out

from harness.cli.dispatch import main
from harness.evidence.listings import mapimport, mapread
from harness.evidence.listings.entries import contradictions
from harness.load.reading import yaml12
from harness.model.words.memorymap import MapFile
from harness.report import memmap, memmapsvg, memmaptext

HYPERV = TESTDATA / "memmaps/hyperv-2019.txt"
RUN, TWIN = laid_out("esrt-kexec-load-6.1"), laid_out("placement-low-hole-twin")


def test_import_writes_a_map_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "hyperv.map"
    assert main(["memmap", "import", str(HYPERV), "--memory", "2GiB", "-o", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: 36 entries, 5 lost\n"
    tree = yaml12.read(file).tree
    assert (tree["source"], tree["memory"]) == ("hyperv-2019.txt, line 1, 40 entries", "2048MiB")
    assert main(["memmap", "import", str(HYPERV), "--memory", "2GiB"]) == 0
    assert capsys.readouterr().out == file.read_text()


def test_import_from_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(HYPERV.read_bytes())))
    assert main(["memmap", "import", "-"]) == 0
    assert 'source: "standard input, line 1, 40 entries"' in capsys.readouterr().out


ONE = "efi: mem00: type=7, attr=0xf, range=[0x0000000000100000-0x0000000000200000) (1MB)\n"

BAD_LOGS = {
    "no map": ("Linux version 6.1\n", "there is no memory map in it"),
    "nothing": ("", "there is no memory map in it"),
    "a gap": (ONE.replace("mem00", "mem03"), "is damaged: line 1: mem03 follows where mem00 is expected"),
    "cut off": (ONE[:50], "the EFI memory map in it is damaged: line 1: mem00 is not as it is printed"),
    "contradiction": (
        ONE + ONE.replace("mem00", "mem01"),
        "mem00 (line 1) and mem01 (line 2) both have 0x100000-0x1fffff",
    ),
    "only devices": (ONE.replace("type=7", "type=11"), "this map cannot be asked for: none of its 1 entries"),
    "hidden": ("00000000-00000000 : Reserved\n00000000-00000000 : System RAM\n", "read without CAP_SYS_ADMIN"),
    "binary": ("\x00\x01\x02\x03" * 100, "not a log: it begins with binary data"),
    "zip": ("PK\x03\x04" + ONE, "is a zip archive, which is not read"),
}


@pytest.mark.parametrize("name", BAD_LOGS)
def test_a_log_that_is_of_no_use(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, message = BAD_LOGS[name]
    (tmp_path / "x.log").write_text(log)
    assert main(["memmap", "import", str(tmp_path / "x.log")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["import", "nosuch.log"], "nosuch.log: no such file or directory"),
        (["import", str(TESTDATA)], "is a directory"),
        (["import", str(HYPERV), "--memory", "lots"], "--memory lots: is not a size"),
        (["import", str(HYPERV), "--memory", "1MiB"], "--memory 1MiB: must be from 256MiB to 64GiB"),
        (["import", str(HYPERV), "--number", "2"], "--number 2: "),
        (["import", str(HYPERV), "-o", "/nonexistent/x"], "/nonexistent/x: cannot be written"),
        (["show", str(TESTDATA)], "not a run directory"),
        (["show", str(RUN), "--svg", "/nonexistent/x"], "/nonexistent/x: cannot be written"),
    ],
)
def test_bad_words(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memmap", *words]) == 2
    assert message in capsys.readouterr().err


ARM64 = """\
[    0.000000] efi: Processing EFI memory map:
[    0.000000] efi:   0x000080000000-0x00008001ffff [Reserved    |   |  |  |  |  |  |  |  |  |  |   |  |  |  |UC]
[    0.000000] efi:   0x000080020000-0x0000bfffffff [Conventional|   |  |  |  |  |  |  |  |  |  |   |WB|WT|WC|UC]
[    0.000000] efi:   0x0000c0000000-0x0000c000ffff [Runtime Code|RUN|  |  |  |  |  |  |  |RO|  |   |WB|WT|WC|UC]
"""

RAM = "|   |  |  |  |  |  |  |   |WB|WT|WC|UC]"

EMPTY = f"""\
efi: mem00: [Conventional Memory{RAM} range=[0x0000000000001000-0x000000000009ffff] (0MB)
efi: mem01: [Reserved           |   |  |  |  |  |  |  |   |  |  |  |  ] range=[0x{0:016x}-0x{2**64 - 1:x}] (0MB)
efi: mem02: [Boot Data          {RAM} range=[0x0000000000100000-0x00000000001fffff] (1MB)
"""

INVALID = """\
efi: [Firmware Bug]: Invalid EFI memory map entries:
efi: mem07: [type=12336|attr=0x0e410686300e4105] range=[0x100e420000000176-0x8c290f26248d200e175] (invalid)
efi: Removing 1 invalid memory map entries.
EFI: MEM00: TYPE=7, ATTR=0XF, RANGE=[0X0000000000100000-0X00000000ABCDE000) (2747MB)
"""

E820 = """\
BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable
BIOS-e820: [mem 0x000000000009fc00-0x000000000009ffff] reserved
BIOS-e820: [mem 0x0000000000100000-0x000000003fffffff] usable
"""


def show(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[str, dict[str, Any]]:
    """What ``show`` prints of a log, as text and as JSON."""
    (tmp_path / "x.log").write_text(text)
    assert main(["memmap", "show", str(tmp_path / "x.log"), *options]) == 0
    out = capsys.readouterr().out
    assert main(["memmap", "show", str(tmp_path / "x.log"), *options, "--json"]) == 0
    return out, json.loads(capsys.readouterr().out)


def read_back(tree: object) -> MapFile:
    """A map file as a scenario's loader takes it."""
    return MapFile.model_validate_json(json.dumps(tree))


def test_an_empty_entry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, document = show(EMPTY, tmp_path, capsys)
    assert [entry["number"] for entry in document["maps"][0]["entries"]] == [0, 2]
    assert [remark["line"] for remark in document["maps"][0]["remarks"]] == [2]
    assert main(["memmap", "import", str(tmp_path / "x.log"), "-o", str(tmp_path / "x.map")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'x.map'}: 2 entries, 1 lost\n"
    assert yaml12.read(tmp_path / "x.map").tree["lost"] == [
        {"at": 0, "size": 0, "type": "reserved", "why": "mem01: it is empty"}
    ]


def test_invalid_entries_in_front_and_upper_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, document = show(INVALID, tmp_path, capsys)
    (only,) = document["maps"]
    assert [(entry["start"], entry["end"]) for entry in only["entries"]] == [(0x100000, 0xABCDE000)]
    assert [remark["line"] for remark in only["remarks"]] == [2]
    assert main(["memmap", "import", str(tmp_path / "x.log")]) == 0
    assert "x.log: line 2: mem07" in capsys.readouterr().err


def test_an_end_over_64_bits_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.log").write_text(
        ONE + "efi: mem01: type=7, attr=0xf, range=[0xfffffffffff00000-0x10000000000100000)\n"
    )
    assert main(["memmap", "import", str(tmp_path / "x.log"), "-o", str(tmp_path / "x.map")]) == 0
    capsys.readouterr()
    (lost,) = yaml12.read(tmp_path / "x.map").tree["lost"]
    assert lost["why"].startswith("mem01: its end 0x10000000000100000 lies over 64 bits")
    assert read_back(yaml12.read(tmp_path / "x.map").tree).lost[0].size == 0


@pytest.mark.parametrize("count", [300, 566, 5000])
def test_more_entries_than_the_agent_takes(count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = (7, 4, 3, 7, 6)
    lines = [
        f"efi: mem{n:02}: type={kinds[n % 5]}, attr=0xf, range=[0x{2**20 + n * 8192:x}-0x{2**20 + n * 8192 + 8192:x})\n"
        for n in range(count)
    ]
    (tmp_path / "x.log").write_text("".join(lines))
    assert main(["memmap", "import", str(tmp_path / "x.log"), "-o", str(tmp_path / "x.map")]) == 0
    told = re.fullmatch(r".*: 256 entries, (\d+) lost(?:, (\d+) made of several)?\n", capsys.readouterr().out)
    assert told is not None
    tree = yaml12.read(tmp_path / "x.map").tree
    read_back(tree)
    assert sum(item["size"] for item in (*tree["entries"], *tree.get("lost", ()))) == count * 8192
    assert sum(" joined" in item["note"] for item in tree["entries"]) == int(told[2] or 0)
    assert (count < 5000) == (told[2] is not None)
    assert {item["type"] for item in tree.get("lost", ())} <= {"conventional", "runtime-services-data"}


def test_the_best_map_of_a_log_or_the_one_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "x.log"
    log.write_text(E820 + ONE)
    for options, source in (
        ([], "x.log, line 4, 1 entries"),
        (["--form", "e820"], "x.log, line 1, 3 entries of e820 table (BIOS-e820)"),
    ):
        assert main(["memmap", "import", str(log), *options, "-o", str(tmp_path / "x.map")]) == 0
        assert yaml12.read(tmp_path / "x.map").tree["source"] == source
    capsys.readouterr()
    assert main(["memmap", "import", str(log), "--form", "iomem"]) == 2
    assert "there is no listing of /proc/iomem in it" in capsys.readouterr().err


def test_a_compressed_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.gz").write_bytes(gzip.compress(HYPERV.read_bytes()))
    assert main(["memmap", "show", str(tmp_path / "x.gz")]) == 0
    assert "40 entries" in capsys.readouterr().out
    (tmp_path / "x.gz").write_bytes(gzip.compress(HYPERV.read_bytes())[:300])
    assert main(["memmap", "show", str(tmp_path / "x.gz")]) == 2
    assert "damaged gzip data" in capsys.readouterr().err


def test_a_name_that_is_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.log")
    Path(odd).write_text(ONE)
    assert main(["memmap", "show", odd]) == 0
    assert main(["memmap", "import", odd]) == 0
    assert main(["memmap", "import", odd, "-o", odd]) == 0
    assert capsys.readouterr().out.encode("utf-8").count(b"udcff.log") == 4


def test_a_long_map_takes_no_time_that_grows_with_its_square() -> None:
    """10 times the entries: far less than the 100 times of a square."""

    def seconds(count: int) -> float:
        log = "".join(ONE.replace("mem00", f"mem{n:02}").replace("0x0000000000", f"0x{n:010x}") for n in range(count))
        begin = time.process_time()
        columns = memmap.of_log(mapread.read(log.encode()).maps * 2, "x")
        assert len(columns[0].entries) == count
        memmaptext.to_text(columns)
        memmaptext.to_text(columns, single=True)
        memmapsvg.to_svg(columns, "x")
        return time.process_time() - begin

    seconds(100)
    assert seconds(5000) < 40 * max(seconds(500), 0.02)


PARTS = [
    *(part for text in (ARM64, EMPTY, INVALID, E820, ONE) for part in text.splitlines(keepends=True)),
    *("mem00:", "efi:", " ", "> ", "\n", "=\n", "\0", "\x1b[", "(XEN) ", "0x", "-0x", "[mem ", "|", "]", "f" * 20),
    *("00000000-00000fff : System RAM\n", "  00000000-ffffffffffffffff : Reserved\n", "00001000-00000fff : x\n"),
    "BIOS-e820: [gap 0x0000000000000000-0x000000000000ffff]\n",
    "Available  0000000000001000-000000000009FFFF 000000000000009F 000000000000000F\n",
]

LONG = "9" * 100_000

HARD = {
    "a number": f"efi: mem00: type={LONG}, attr=0xf, range=[0x0-0x1000) (0MB)",
    "an address": f"efi: mem00: type=7, attr=0xf, range=[0x0-0x{LONG}) (0MB)",
    "a size": f"efi: mem00: type=7, attr=0xf, range=[0x0-0x1000) ({LONG}MB)",
    "attributes": f"efi: mem00: [Conventional|attr=0x{LONG}] range=[0x0-0x1000) (0MB)",
    "a word": f"efi: mem00: [{LONG}|   |WB] range=[0x0-0x1000) (0MB)",
    "an e820 type": f"BIOS-e820: [mem 0x0000000000000000-0x0000000000000fff] type {LONG}",
    "a name": f"{'a' * 200_000} BIOS-{'BIOS-' * 20_000}: [mem 0x0000000000000000-0x0000000000000fff] usable",
    "a line": "efi: mem00: type=7, attr=0xf, range=[0x1000-0x2000) (0MB) " * 3_000,
    "openings": "efi: mem00: [" * 4_000 + "mem00:" * 4_000 + "BIOS-e820: [mem " * 4_000 + "efi: 0x00000000-" * 4_000,
    "blanks": ("efi:" + " " * 1000) * 1000 + ">" * 100_000,
}


@pytest.mark.parametrize("name", HARD)
def test_what_is_too_long_is_refused_in_no_time(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.log").write_text(HARD[name] + "\n")
    begin = time.process_time()
    status = main(["memmap", "import", str(tmp_path / "x.log")])
    assert time.process_time() - begin < 20
    err = capsys.readouterr().err
    assert status == (0 if name in ("a size", "a line") else 2)
    assert len(err) < 2000


@settings(max_examples=150, deadline=None)
@given(parts=st.lists(st.one_of(st.sampled_from(PARTS), st.text(max_size=3)), max_size=25), cut=st.integers(0, 400))
def test_no_log_makes_a_traceback(parts: list[str], cut: int) -> None:
    text = "".join(parts).encode("utf-8", "surrogatepass")
    for data in (text, text[cut:]):
        found = mapread.read(data)
        columns = memmap.of_log(found.maps, "x")
        memmaptext.to_text(columns, single=True)
        memmaptext.to_text(columns)
        json.dumps(memmaptext.to_rows(columns))
        for item in found.maps:
            if not contradictions(item.entries):
                memmapsvg.to_svg(memmap.of_log([item], "x"), "x")
                made = mapimport.scale(item.top, 2**30, "x", item.odd)
                if made.entries:
                    read_back(yaml12.parse(mapimport.to_yaml(made), "x.map").tree)
