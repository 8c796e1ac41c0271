"""The run directory: what is written is what is read, and nothing outside it."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

import pytest
from support.synthetic import kernel, plan, prepared, scenario

from harness.errors import HostError, InputError
from harness.judge.judge import failed_before_start
from harness.model.record import EndKind, FrameEntry, NoteEntry, Phase, RunEnd
from harness.record.record import UnreadableRecordError
from harness.record.store import RunWriter, check_writable, file_hashes, read_record, write_verdict

END = RunEnd(kind=EndKind.COMPLETE, t_s=1.0, epoch=1, phase=Phase.OFF, detail="done", console_offset=0)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def writer(directory: Path) -> RunWriter:
    return RunWriter(directory, plan(scenario(), prepared([kernel()] * 2)))


def note(text: str) -> NoteEntry:
    return NoteEntry(t_s=0.5, epoch=1, text=text)


def test_written_is_read(writer: RunWriter, directory: Path) -> None:
    body = writer.body("1-hello", b"Linux version")
    file, sha256 = writer.sample("1-up-esrt", b"\0" * 4096)
    for number in range(3):
        writer.append(note(f"number {number}"))
    writer.finish(END)
    record = read_record(directory)
    assert [entry.text for entry in record.notes] == ["number 0", "number 1", "number 2"]
    assert record.plan == plan(scenario(), prepared([kernel()] * 2))
    assert record.end is not None
    assert record.end.model_copy(update={"files": {}}) == END
    assert record.read(body) == b"Linux version"
    assert record.read(file) == b"\0" * 4096
    assert sha256 == hashlib.sha256(b"\0" * 4096).hexdigest() == record.end.files[file]
    assert set(record.end.files) == {"plan.json", "journal.jsonl", body, file}
    assert record.end.files == file_hashes(directory)
    assert record.problems == ()


def test_while_a_run_goes_on_its_journal_is_in_memory(writer: RunWriter, directory: Path) -> None:
    """What those see who look at a running machine is what is written; nothing is read back to know it."""
    writer.append(note("first"))
    before = writer.record()
    body = writer.body("1-hello", b"Linux version")
    writer.append(FrameEntry(t_s=1.5, epoch=1, kind="hello", fields={"epoch": "1"}, body_file=body))
    writer.append(note("esrt: said as others do"))
    written, seen = read_record(directory), writer.record()
    assert (seen.plan, seen.entries, seen.end) == (written.plan, written.entries, None)
    assert seen.body(seen.frame("hello")) == b"Linux version"
    assert [entry.text for entry in before.notes] == ["first"]
    (directory / "journal.jsonl").unlink()
    assert writer.record().entries == seen.entries
    with pytest.raises(UnreadableRecordError):
        seen.read("../elsewhere")


def test_every_line_is_on_disk_at_once(writer: RunWriter, directory: Path) -> None:
    """A harness that is killed leaves what it has seen."""
    writer.append(note("seen"))
    record = read_record(directory)
    assert [entry.text for entry in record.notes] == ["seen"]
    assert record.end is None


def test_lines_of_several_threads_stay_whole(writer: RunWriter, directory: Path) -> None:
    def write(name: str) -> None:
        for number in range(50):
            writer.append(note(f"{name} {number} {'x' * 500}"))
            writer.body(name, name.encode())

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    texts = [entry.text.split()[:2] for entry in read_record(directory).notes]
    assert len(texts) == 200
    for name in "abcd":
        assert [number for who, number in texts if who == name] == [str(number) for number in range(50)]
    assert len(list((directory / "facts").iterdir())) == 200


def test_cut_last_line(writer: RunWriter, directory: Path) -> None:
    writer.append(note("whole"))
    with (directory / "journal.jsonl").open("a") as journal:
        journal.write(note("cut").model_dump_json()[:-5])
    record = read_record(directory)
    assert [entry.text for entry in record.notes] == ["whole"]
    assert record.problems == ()


def test_cut_line_in_the_middle(writer: RunWriter, directory: Path) -> None:
    with (directory / "journal.jsonl").open("a") as journal:
        journal.write(note("cut").model_dump_json()[:-5] + "\n")
    writer.append(note("whole"))
    assert read_record(directory).problems == ("journal.jsonl:1: not a journal entry",)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("1-hello", "facts/001-1-hello"),
        ("1-../../etc/passwd", "facts/001-1-______etc_passwd"),
        ("1-a b\n\0c", "facts/001-1-a_b__c"),
        ("1-\u00e4", "facts/001-1-_"),
        ("", "facts/001-"),
        ("x" * 5000, "facts/001-" + "x" * 64),
    ],
)
def test_body_names(writer: RunWriter, directory: Path, label: str, name: str) -> None:
    """A guest chooses the name of a fact; it never chooses a path."""
    assert writer.body(label, b"text") == name
    assert (directory / name).read_bytes() == b"text"


def test_bodies_of_one_name_are_kept_apart(writer: RunWriter) -> None:
    assert [writer.body("1-klog", b"x") for _ in range(2)] == ["facts/001-1-klog", "facts/002-1-klog"]


@pytest.mark.parametrize("name", ["../other", "facts/../../other", "/etc/hostname", "link"])
def test_nothing_outside_is_read(writer: RunWriter, directory: Path, name: str) -> None:
    (directory.parent / "other").write_text("secret")
    (directory / "link").symlink_to(directory.parent / "other")
    with pytest.raises(UnreadableRecordError, match="points outside the run directory"):
        read_record(directory).read(name)


@pytest.mark.parametrize("name", ["facts/none", "facts", "samples/x.bin"])
def test_what_is_not_there(writer: RunWriter, directory: Path, name: str) -> None:
    with pytest.raises(UnreadableRecordError, match=name):
        read_record(directory).read(name)


def test_sealed_files_are_read_only_as_they_were(writer: RunWriter, directory: Path) -> None:
    body = writer.body("1-iomem", b"00000000-00000fff : Reserved")
    writer.finish(END)
    (directory / "facts" / "new").write_text("x")
    record = read_record(directory)
    assert record.read(body)
    with pytest.raises(UnreadableRecordError, match="facts/new: was not there when the run ended"):
        record.read("facts/new")
    (directory / body).write_bytes(b"00000000-00000fff : System RAM")
    with pytest.raises(UnreadableRecordError, match="is not what it was when the run ended"):
        record.read(body)


def test_a_payload_that_is_gone(writer: RunWriter, directory: Path, tmp_path: Path) -> None:
    record = read_record(directory)
    path = tmp_path / "initrd"
    assert record.read_payload(str(path), 0, 4) is None
    path.write_bytes(b"0123456789")
    assert record.read_payload(str(path), 8, 4) == b"89"


def test_a_directory_is_used_once(writer: RunWriter, directory: Path) -> None:
    with pytest.raises(HostError, match="cannot write the run's record"):
        RunWriter(directory, plan(scenario(), prepared([kernel()] * 2)))


def test_end_that_cannot_be_written(writer: RunWriter, directory: Path) -> None:
    (directory / "end.json").mkdir()
    with pytest.raises(HostError, match="cannot write the run's record"):
        writer.finish(END)


def test_no_run_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a run directory \(no plan.json\)"):
        read_record(tmp_path)


def test_runs_directory_is_made(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_runs_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="the runs directory cannot be written") as raised:
        check_writable(tmp_path / "file")
    assert "--runs" in raised.value.hint


def test_verdict_beside_the_record(writer: RunWriter, directory: Path) -> None:
    writer.finish(END)
    verdict = failed_before_start("esrt/x", "tiny", "no", "none")
    write_verdict(directory, verdict, "text\n")
    assert json.loads((directory / "verdict.json").read_text())["headline"] == "no"
    assert (directory / "verdict.txt").read_text() == "text\n"
    record = read_record(directory)
    assert record.end is not None
    assert record.end.files == file_hashes(directory)
