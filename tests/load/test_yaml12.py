"""The YAML dialect, the places of values, and files that cannot be read."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from harness.errors import ScenarioErrors
from harness.load.reading import yaml12
from harness.load.reading.document import dotted


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("1:30", "1:30"),
        ("12_000", "12_000"),
        ("2026-11-21", "2026-11-21"),
        ("=", "="),
        ("0b11", "0b11"),
        ("0x_80", "0x_80"),
        ("af1648984828", "af1648984828"),
        ("010", 10),
        ("0o17", 15),
        ("0x3c000000", 0x3C000000),
        ("-3", -3),
        ("+3", 3),
        ("1e3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("Null", None),
        ('"true"', "true"),
        ("'0x10'", "0x10"),
    ],
)
def test_scalars_are_those_of_the_core_schema(text: str, value: object) -> None:
    got = yaml12.parse_value(text)
    assert got == value
    assert type(got) is type(value)


def test_nan_is_a_float() -> None:
    assert math.isnan(yaml12.parse_value(".nan"))


def test_nothing_is_null() -> None:
    assert yaml12.parse_value("") is None
    assert yaml12.parse("a:", "f").tree == {"a": None}


def test_every_value_has_its_place() -> None:
    document = yaml12.parse("a: 1\nb:\n  - {c: 0x10}\n  - 'd'\n", "f.yaml")
    assert document.tree == {"a": 1, "b": [{"c": 16}, "d"]}
    places = {dotted(path): (s.key_line, s.key_column, s.line, s.column) for path, s in document.spots.items()}
    assert places == {
        "": (1, 1, 1, 1),
        "a": (1, 1, 1, 4),
        "b": (2, 1, 3, 3),
        "b[0]": (3, 5, 3, 5),
        "b[0].c": (3, 6, 3, 9),
        "b[1]": (4, 5, 4, 5),
    }
    assert document.written[("b", 0, "c")] == "0x10"


def test_a_mistake_at_a_place_that_is_not_there_stands_at_the_nearest_one_above() -> None:
    document = yaml12.parse("a:\n  b: 1\n", "f.yaml")
    assert str(document.mistake(("a", "b", "c", 3), "is wrong")) == "f.yaml:2:6: a.b.c[3]: is wrong"
    assert str(document.mistake(("a", "b"), "is wrong", at_key=True)) == "f.yaml:2:3: a.b: is wrong"
    assert str(document.mistake(("x",), "is wrong", at_key=True)) == "f.yaml:1:1: x: is wrong"


def test_crlf_and_a_byte_order_mark_are_read_like_any_other_file(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    document = yaml12.read(path)
    assert document.tree == {"a": 1, "b": 2}
    assert (document.spots[("b",)].key_line, document.spots[("b",)].key_column) == (2, 1)


def test_mistakes_the_reader_can_pass_are_all_collected() -> None:
    document = yaml12.parse("a: &x 1\nb: *x\na: !!str 2\n<<: {}\n1: 2\n", "f")
    assert [(m.line, m.column) for m in sorted(document.mistakes)] == [(1, 4), (2, 4), (3, 1), (3, 4), (4, 1), (5, 1)]
    assert document.tree == {"a": 1, "b": None}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('a: "\\UFFFFFFFF"', (1, 7)),
        ("%YAML 1." + "9" * 5000 + "\n--- a", (1, 9)),
        ("[" * 100_000, (1, 41)),
        ("{a: " * 100_000, (1, 158)),
        ("- " * 100_000, (1, 81)),
        ("a: *nowhere", (1, 4)),
        ("&a &b c", (1, 4)),
        ("a: 'b", (1, 6)),
        ("a: \N{NULL}".replace("\N{NULL}", "\0"), (1, 4)),
        ("\ufffe", (1, 1)),
    ],
)
def test_hostile_text_is_one_mistake_with_its_place(text: str, place: tuple[int, int]) -> None:
    try:
        mistakes = yaml12.parse(text, "f").mistakes
    except ScenarioErrors as error:
        mistakes = error.mistakes
    assert len(mistakes) == 1
    assert (mistakes[0].line, mistakes[0].column) == place
    assert "\n" not in mistakes[0].message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.yaml", "cannot be read: no such file or directory"),
        ("folder.yaml", "cannot be read: is a directory"),
        ("nul\0.yaml", "is not the name of a file: embedded null byte"),
        ("big.yaml", "is bigger than 1 MiB; this is no scenario file"),
        ("binary.yaml", "is not UTF-8 text: byte 0xff"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_mistake(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "big.yaml").write_bytes(b"#" * (yaml12.MAX_FILE_BYTES + 1))
    (tmp_path / "binary.yaml").write_bytes("a: b".encode("utf-16"))
    path = tmp_path / name
    with pytest.raises(ScenarioErrors) as caught:
        yaml12.read(path)
    assert [str(mistake) for mistake in caught.value.mistakes] == [f"{path}:1:1: {message}"]
