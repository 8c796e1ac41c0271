"""One pair of words for where a table is, and the words that records have had for it before."""

from __future__ import annotations

import json
import re

import pytest
from pydantic import TypeAdapter, ValidationError
from support.recorded import NAMES, laid_out, read

from harness.evidence import logbook
from harness.evidence.ranges import Range
from harness.model.record import Entry, NoteEntry, Point, SampleEntry
from harness.model.words.tables import TableName
from harness.record.frames import InstalledTable
from harness.record.observations import MadeRange
from harness.record.store import read_record

PAGES, TABLE = Range(0x39FFE000, 0x3A000000), Range(0x39FFE100, 0x39FFE188)
_NOW = {"table_address": "0x39ffe100", "table_size": "136", "pages_address": "0x39ffe000", "pages_size": "8192"}
_BEFORE = {"address": "0x39ffe100", "size": "136", "pages_address": "0x39ffe000", "pages": "2"}
INSTALLED = [
    name
    for name in NAMES
    if {'"kind":"table"', '"point":"handoff"'}
    <= set(re.findall(r'"(?:kind|point)":"[a-z]+"', read(name, "journal.jsonl").decode()))
]


@pytest.mark.parametrize("fields", [_NOW, _BEFORE], ids=["protocol 2", "protocol 1"])
def test_a_table_frame(fields: dict[str, str]) -> None:
    found = InstalledTable.read({"name": "bgrt", "type": "4", "acpi": "BGRT", **fields})
    assert found == InstalledTable("bgrt", TABLE, PAGES, "BGRT")


@pytest.mark.parametrize(
    "fields",
    [{"pages_address": "0x8000000", "pages_size": "8192"}, {"address": "0x8000000", "pages": "2"}],
    ids=["protocol 2", "protocol 1"],
)
def test_a_range_frame(fields: dict[str, str]) -> None:
    made = MadeRange.read({**fields, "type": "hole", "was": "7", "how": "hooked", "canary": "1", "fit": "0"})
    assert (made.range, made.subject) == (Range(0x8000000, 0x8002000), "memory-0x8000000")


@pytest.mark.parametrize("missing", _NOW)
def test_a_table_frame_that_lacks_a_field(missing: str) -> None:
    fields = {key: value for key, value in _NOW.items() if key != missing}
    with pytest.raises(KeyError):
        InstalledTable.read({"name": "esrt", **fields})


@pytest.mark.parametrize("name", INSTALLED)
def test_recorded_frames_and_samples_say_the_same(name: str) -> None:
    """The agent's word, and where the host has then read the memory."""
    record = read_record(laid_out(name))
    said = {found.name: (found.pages, found.table) for found in map(_installed, record.frames("table"))}
    samples = {
        sample.subject: (
            Range.sized(sample.pages_address, sample.pages_size_bytes),
            Range.sized(sample.table_address, sample.table_size_bytes),
        )
        for sample in record.samples
        if sample.point is Point.HANDOFF and sample.subject in said
    }
    assert samples
    assert samples == {subject: said[subject] for subject in samples}
    assert all(pages.contains(table) and pages != table for pages, table in samples.values())


def _installed(frame: object) -> InstalledTable:
    return InstalledTable.read(frame.fields)  # type: ignore[attr-defined]


def test_there_are_such_records() -> None:
    assert len(INSTALLED) > 10


_SAMPLE = {
    "type": "sample", "t_s": 1.0, "epoch": 0, "point": "handoff", "subject": "esrt", "table_address": 0x100,
    "table_size_bytes": 136, "file": "samples/1.bin", "sha256": "0" * 64,
}  # fmt: skip


@pytest.mark.parametrize(
    "pages",
    [{"pages_address": 0x1000, "pages_size_bytes": 8192}, {"address": 0x1000, "size_bytes": 8192}],
    ids=["now", "before"],
)
def test_a_sample(pages: dict[str, int]) -> None:
    entry = TypeAdapter(Entry).validate_json(json.dumps({**_SAMPLE, **pages}))
    assert isinstance(entry, SampleEntry)
    assert (entry.pages_address, entry.pages_size_bytes) == (0x1000, 8192)
    assert (entry.table_address, entry.table_size_bytes) == (0x100, 136)
    written = json.loads(entry.model_dump_json())
    assert written.keys() & {"address", "size_bytes"} == set(), "only the new words are written"


@pytest.mark.parametrize("pages", [{}, {"pages_address": 0x1000}, {"start": 0x1000, "size_bytes": 8192}])
def test_a_sample_without_its_pages(pages: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        SampleEntry.model_validate_json(json.dumps({**_SAMPLE, **pages}))


@pytest.mark.parametrize("subject", ["logbook", "driver-logbook"])
def test_the_logbook_has_one_name(subject: str) -> None:
    sample = {**_SAMPLE, "subject": subject, "pages_address": 0x1000, "pages_size_bytes": 4096}
    assert SampleEntry.model_validate_json(json.dumps(sample)).subject == logbook.SAMPLE


@pytest.mark.parametrize(
    ("written", "table", "text", "line"),
    [
        ({"table": "esrt", "text": "no GUID"}, TableName.ESRT, "no GUID", "esrt: no GUID"),
        ({"text": "tpm-log: no GUID"}, TableName.TPM_LOG, "no GUID", "tpm-log: no GUID"),
        ({"text": "esrt: it: said"}, TableName.ESRT, "it: said", "esrt: it: said"),
        (
            {"table": None, "text": "esrt: of something else"},
            None,
            "esrt: of something else",
            "esrt: of something else",
        ),
        (
            {"text": "no last samples: QEMU is gone"},
            None,
            "no last samples: QEMU is gone",
            "no last samples: QEMU is gone",
        ),
        ({"text": "esrt"}, None, "esrt", "esrt"),
    ],
    ids=["now", "before", "only the first colon", "now, of no table", "before, of no table", "no reason"],
)
def test_a_note(written: dict[str, str | None], table: TableName | None, text: str, line: str) -> None:
    entry = NoteEntry.model_validate_json(json.dumps({"type": "note", "t_s": 1.0, "epoch": 0, **written}))
    assert (entry.table, entry.text, entry.line) == (table, text, line)
    assert NoteEntry.model_validate_json(entry.model_dump_json()) == entry


@pytest.mark.parametrize("written", [{"text": 5}, {"table": "esrtt", "text": "x"}, {}])
def test_what_is_no_note(written: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        NoteEntry.model_validate_json(json.dumps({"type": "note", "t_s": 1.0, "epoch": 0, **written}))
