"""Logs as people send them: compressed, in other encodings, broken."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.load.logfile import read_log

TEXT = b"[    0.000000] Linux version 6.1.0\n" * 50
LIMIT = 2**20


def zstd(data: bytes) -> bytes:
    return subprocess.run(("zstd", "-qc"), input=data, stdout=subprocess.PIPE, check=True).stdout


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gz": gzip.compress,
    "two gz": lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]),
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "bz2": bz2.compress,
    "zst": zstd,
    "utf-16": lambda data: data.decode().encode("utf-16"),
    "utf-16-be": lambda data: b"\xfe\xff" + data.decode().encode("utf-16-be"),
    "utf-8 with a mark": lambda data: b"\xef\xbb\xbf" + data,
}


@pytest.fixture(params=PACKERS)
def packer(request: pytest.FixtureRequest) -> Callable[[bytes], bytes]:
    return PACKERS[request.param]


def test_every_packing(packer: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(packer(TEXT))
    assert read_log(str(tmp_path / "x"), LIMIT) == TEXT


def test_standard_input(packer: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(packer(TEXT))))
    assert read_log("-", LIMIT) == TEXT


@pytest.mark.parametrize("name", [name for name in PACKERS if not name.startswith("utf")])
def test_what_is_too_long_unpacked(name: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(PACKERS[name](bytes(b"x" * 200)))
    with pytest.raises(InputError, match="bigger than"):
        read_log(str(tmp_path / "x"), 199)
    assert len(read_log(str(tmp_path / "x"), 200)) == 200


@pytest.mark.parametrize("name", ["gz", "xz", "bz2", "zst"])
def test_half_of_a_packed_log_is_refused(name: str, tmp_path: Path) -> None:
    packed = PACKERS[name](TEXT * 20)
    (tmp_path / "x").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match="damaged"):
        read_log(str(tmp_path / "x"), LIMIT)


def test_zstd_without_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(zstd(TEXT))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError) as caught:
        read_log(str(tmp_path / "x"), LIMIT)
    assert "no program zstd" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"PK\x03\x04" + TEXT, "is a zip archive"),
        (gzip.compress(b"7z\xbc\xaf\x27\x1c" + TEXT), "is a 7z archive"),
        (bytes(range(32)) * 300, "begins with binary data"),
        (gzip.compress(bytes(range(32)) * 300), "begins with binary data"),
    ],
)
def test_what_is_no_log(data: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(InputError, match=why):
        read_log(str(tmp_path / "x"), LIMIT)


@pytest.mark.parametrize("name", ["nosuch", ".", "a\0b"])
def test_what_cannot_be_read(name: str) -> None:
    with pytest.raises(InputError) as caught:
        read_log(name, LIMIT)
    assert caught.value.message.startswith(name)
