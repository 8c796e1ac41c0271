"""The file that a capture kernel's disk becomes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import synthetic

from harness.errors import HostError
from harness.model.record import EndKind, Phase, RunEnd
from harness.record.store import RunWriter
from harness.subjects.kdump import disk as vmcoredisk
from harness.subjects.kdump.plan import DISK, drive

SIZE = 1 << 20


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RunWriter]:
    kernels = [synthetic.kernel(), synthetic.kernel()]
    writer = RunWriter(tmp_path / "run", synthetic.plan(synthetic.scenario(), synthetic.prepared(kernels)))
    vmcoredisk.create(writer.directory, SIZE)
    yield writer
    writer.finish(
        RunEnd(kind=EndKind.COMPLETE, t_s=1, epoch=2, phase=Phase.OFF, detail="every step was done", console_offset=0)
    )


def entries(writer: RunWriter) -> list[dict[str, object]]:
    return [json.loads(line) for line in (writer.directory / "journal.jsonl").read_text().splitlines()]


def write(writer: RunWriter, data: bytes, at: int = 0) -> None:
    with (writer.directory / DISK).open("r+b") as disk:
        disk.seek(at)
        disk.write(data)


def test_a_whole_dump_is_cut_to_what_was_written_and_sealed(writer: RunWriter) -> None:
    write(writer, b"dump" * 1000)
    vmcoredisk.take(writer, 2, vmcoredisk.RAW, 4000)
    data = (writer.directory / "vmcore").read_bytes()
    assert data == b"dump" * 1000
    (entry,) = entries(writer)
    assert (entry["file"], entry["size_bytes"], entry["epoch"]) == ("vmcore", 4000, 2)
    assert entry["blake2b"] == hashlib.blake2b(data).hexdigest()
    vmcoredisk.leave(writer, 2)
    assert not (writer.directory / "vmcore.incomplete").exists()


def test_what_nobody_took_is_no_vmcore(writer: RunWriter) -> None:
    write(writer, b"half a dump", at=4096)
    vmcoredisk.leave(writer, 2)
    assert sorted(path.name for path in writer.directory.glob("vmcore*")) == ["vmcore.incomplete"]
    assert (writer.directory / "vmcore.incomplete").read_bytes()[4096:].startswith(b"half a dump")
    assert entries(writer)[0]["file"] == "vmcore.incomplete"


def test_an_empty_disk_leaves_nothing(writer: RunWriter) -> None:
    vmcoredisk.leave(writer, 1)
    assert list(writer.directory.glob("vmcore*")) == []
    assert entries(writer) == []


def test_a_disk_that_is_gone_is_said(writer: RunWriter) -> None:
    (writer.directory / DISK).unlink()
    with pytest.raises(HostError, match="cannot be kept"):
        vmcoredisk.take(writer, 2, vmcoredisk.RAW, 4000)


def test_no_disk_for_a_run_that_captures_nothing(tmp_path: Path) -> None:
    vmcoredisk.create(tmp_path, 0)
    assert list(tmp_path.iterdir()) == []
    assert drive(0) == []
    assert "serial=vmcore" in drive(SIZE)[-1]
