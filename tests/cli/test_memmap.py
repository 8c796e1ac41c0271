"""harness memmap"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from goldens import TESTDATA

from harness.cli.main import main
from harness.load import yaml12

HYPERV = TESTDATA / "memmaps/hyperv-2019.txt"
RUN = TESTDATA / "runs/esrt-kexec-load-6.1"
TWIN = RUN.with_name("placement-low-hole-twin")
SVG = "{http://www.w3.org/2000/svg}"
CHAR = 6.02
"""Width of a character of DejaVu Sans Mono at 10 px."""


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


def test_show_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memmap", "show", str(RUN)]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"^(\S.*)  \(facts/", out, re.MULTILINE) == [
        "EFI memory map at the hand-off",
        "/sys/firmware/memmap, epoch 1",
        "/proc/iomem, epoch 1",
        "/sys/firmware/memmap, epoch 2",
        "/proc/iomem, epoch 2",
    ]
    assert " - 0x000039fff000-0x000039ffffff       4 KiB  Reserved" in out, "the reservation is gone after kexec_load"
    assert "0x000038938000-0x00003b5fffff    44.8 MiB    > next initrd" in out


def test_show_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memmap", "show", str(RUN), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    first = document["maps"][0]
    assert {"start": 0x39FFF100, "end": 0x39FFF188, "label": "esrt table", "kind": "table"} in first["marks"]
    assert {"start": 0, "end": 0xA0000, "label": "Conventional", "kind": "free"} in first["blocks"]


def test_places(capsys: pytest.CaptureFixture[str]) -> None:
    low, image = RUN, RUN.with_name("placement-made-map")
    assert main(["memmap", "places", str(low), str(TWIN), str(image)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "0x1600000-0x3dfffff  esrt/kexec-load[debian-6.1-cloud,ovmf-x64]",
        "0xa00000-0x17fffff  placement/low-hole[tiny-6.1+below-16m,ovmf-x64]",
        "0x1600000-0x3dfffff  placement/made-map[debian-6.1-cloud,ovmf-x64]",
        "3 boots, 2 places, from 0xa00000 to 0x1600000",
    ]
    assert main(["memmap", "places", "--json", str(TWIN)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["places"] == [0xA00000]
    assert document["boots"][0]["end"] == 0x1800000


def test_kaslr_that_always_gives_the_same_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memmap", "places", str(RUN), str(RUN)]) == 1
    assert "2 boots, 1 places" in capsys.readouterr().out


def test_places_of_a_run_that_never_came_so_far(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memmap", "places", str(RUN.with_name("selftest-silent-reset"))]) == 2
    assert "its first kernel has not reported where it lies" in capsys.readouterr().err


@pytest.mark.parametrize("what", [HYPERV, RUN, RUN.with_name("placement-made-map")])
def test_the_drawing(what: Path, tmp_path: Path) -> None:
    """Well-formed; every box inside the drawing and at least a line high; no two texts on top of each other."""
    file = tmp_path / "x.svg"
    assert main(["memmap", "show", str(what), "--svg", str(file)]) == 0
    root = ElementTree.fromstring(file.read_text())  # noqa: S314  our own
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = [box for box in root.iter(f"{SVG}rect") if box.find(f"{SVG}title") is not None]
    assert len(boxes) > 20
    for box in boxes:
        x, y, w, h = (float(box.attrib[name]) for name in ("x", "y", "width", "height"))
        assert h >= 13.9
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
    texts = []
    for text in root.iter(f"{SVG}text"):
        x, y, words = float(text.attrib["x"]), float(text.attrib["y"]), text.text or ""
        size = float(text.attrib.get("font-size", 10))
        texts.append((x, y - size * 0.8, x + len(words) * CHAR * size / 10, y + size * 0.1, words))
        assert x + len(words) * CHAR * size / 10 <= width, words
    for number, one in enumerate(texts):
        for other in texts[:number]:
            apart = one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]
            assert apart, (one, other)
