"""harness memmap show and places"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.recorded import laid_out

from harness.cli.dispatch import main

from .test_memmap import ARM64, E820, HYPERV, ONE, RUN, TWIN, show

SVG = "{http://www.w3.org/2000/svg}"
CHAR = 6.02
"""Width of a character of DejaVu Sans Mono at 10 px."""


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


def test_show_lists_single_entries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, document = show(ARM64, tmp_path, capsys)
    rows = [line.split() for line in out.splitlines() if "mem0" in line]
    assert [(row[0], row[1], *row[4:]) for row in rows] == [
        ("mem00", "0x000080000000-0x00008001ffff", "Reserved", "UC"),
        ("mem01", "0x000080020000-0x0000bfffffff", "Conventional", "UC", "WC", "WT", "WB"),
        ("mem02", "0x0000c0000000-0x0000c000ffff", "RuntimeServicesCode", "UC", "WC", "WT", "WB", "RO", "RUNTIME"),
    ]
    (only,) = document["maps"]
    assert (only["kind"], only["file"]) == ("efi", "x.log:2")
    assert only["entries"][2] == {
        "number": 2,
        "start": 0xC0000000,
        "end": 0xC0010000,
        "type": "RuntimeServicesCode",
        "type_number": 5,
        "attributes": 0x800000000002000F,
        "attribute_names": ["UC", "WC", "WT", "WB", "RO", "RUNTIME"],
        "depth": 0,
        "line": 4,
    }


def test_show_joined(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memmap", "show", str(HYPERV), "--joined"]) == 0
    joined = capsys.readouterr().out
    assert main(["memmap", "show", str(HYPERV)]) == 0
    single = capsys.readouterr().out
    assert sum("0x00" in line for line in single.splitlines()) == 40
    assert sum("0x00" in line for line in joined.splitlines()) < 40


def test_the_entries_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memmap", "show", str(RUN), "--form", "efi", "--entries"]) == 0
    out = capsys.readouterr().out
    assert main(["memmap", "show", str(RUN), "--form", "efi", "--json"]) == 0
    (only,) = json.loads(capsys.readouterr().out)["maps"]
    assert len(only["entries"]) == sum("  mem" in line for line in out.splitlines()) > 50
    assert {entry["line"] for entry in only["entries"]} == {None}
    assert main(["memmap", "show", str(RUN), "--form", "iomem", "--json"]) == 0
    assert [item["kind"] for item in json.loads(capsys.readouterr().out)["maps"]] == ["iomem", "iomem"]


def test_a_damaged_efi_map_is_not_replaced_in_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "x.log"
    log.write_text(E820 + ONE.replace("mem00", "mem01"))
    assert main(["memmap", "import", str(log)]) == 2
    err = capsys.readouterr().err
    assert "the EFI memory map in it is damaged: line 4: mem01 follows where mem00 is expected" in err
    assert "--form e820" in err
    _, document = show(log.read_text(), tmp_path, capsys)
    assert [item["kind"] for item in document["maps"]] == ["e820"]
    assert [(item["kind"], item["line"]) for item in document["damaged"]] == [("efi", 4)]


def test_a_map_that_contradicts_itself_is_shown_but_not_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twice = ONE + ONE.replace("mem00", "mem01").replace("type=7", "type=4")
    _, document = show(twice, tmp_path, capsys)
    assert [remark["line"] for remark in document["maps"][0]["remarks"]] == [2]
    assert main(["memmap", "show", str(tmp_path / "x.log"), "--svg", str(tmp_path / "x.svg")]) == 2
    assert "contradicts itself" in capsys.readouterr().err


def test_show_from_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(HYPERV.read_bytes())))
    assert main(["memmap", "show", "-"]) == 0
    assert capsys.readouterr().out.startswith("standard input\n")


def test_places(capsys: pytest.CaptureFixture[str]) -> None:
    low, image = RUN, laid_out("placement-made-map")
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
    assert main(["memmap", "places", str(laid_out("selftest-silent-reset"))]) == 2
    assert "its first kernel has not reported where it lies" in capsys.readouterr().err


@pytest.mark.parametrize("what", [HYPERV, RUN, laid_out("placement-made-map")])
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
