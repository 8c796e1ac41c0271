"""Memory in a dump against memory in the machine."""

from __future__ import annotations

import pytest
from support.kdump_records import PAGE, Kdump, red
from support.verdicts import said

from harness.model.causes import Cause, Status


@pytest.mark.parametrize("number", [0, 5, -1])
def test_one_page_flipped(raw: Kdump, number: int) -> None:
    address = raw.flip_page(number)
    text = red(raw.judge(), Cause.VMCORE_CORRUPT, "kdump: memory")
    assert f"{address:#x}" in text


def test_one_page_flipped_after_the_run_accuses_nobody(raw: Kdump) -> None:
    raw.flip_page(5, sealed=False)
    verdict = raw.judge()
    assert (verdict.status, verdict.cause) == (Status.ERROR, Cause.BAD_RECORD), said(verdict)


def test_memory_that_changed_after_the_panic(raw: Kdump) -> None:
    """A page of constants, which nothing may write to, was another one at the panic."""
    entry = raw.only(type="memory", point="capture")
    path = raw.path / entry["pages_file"]
    segment = raw.dump().segments[-1]
    data = raw.file.read_bytes()[segment.offset :][:PAGE]
    path.write_bytes(path.read_bytes() + (segment.physical // PAGE).to_bytes(8, "little") + b"\xff" * PAGE + data)
    raw.change({"changed": entry["changed"] + 1}, type="memory", point="capture")
    assert f"{segment.physical:#x}" in red(raw.judge(), Cause.MEMORY_CHANGED, "kdump: panic to capture")


def test_more_pages_changed_than_were_kept(raw: Kdump) -> None:
    raw.change({"changed": 70000}, type="memory", point="capture")
    red(raw.judge(), Cause.MEMORY_CHANGED, "kdump: panic to capture")


def test_a_dump_without_a_range_of_memory(raw: Kdump) -> None:
    entry = raw.only(type="memory", point="capture")
    ranges = [*entry["ranges"], [0x7FF00000, 0x7FF01000]]
    raw.change({"ranges": ranges}, type="memory", point="capture")
    name = raw.path / entry["digests_file"]
    name.write_bytes(name.read_bytes() + b"\1" * 8)
    assert "0x7ff00000-0x7ff00fff" in red(raw.judge(), Cause.VMCORE_RANGES, "kdump: ranges")


def test_a_dump_of_memory_that_was_none(raw: Kdump) -> None:
    entry = raw.only(type="memory", point="capture")
    name = raw.path / entry["digests_file"]
    name.write_bytes(name.read_bytes()[:-8])
    last = entry["ranges"][-1]
    ranges = [*entry["ranges"][:-1], *([[last[0], last[1] - PAGE]] if last[1] - last[0] > PAGE else [])]
    raw.change({"ranges": ranges}, type="memory", point="capture")
    red(raw.judge(), Cause.VMCORE_RANGES, "kdump: ranges")


@pytest.mark.parametrize("point", ["panic", "capture"])
def test_without_a_sample_nothing_is_proved(raw: Kdump, point: str) -> None:
    raw.drop(type="memory", point=point)
    verdict = raw.judge()
    assert (verdict.status, verdict.cause) == (Status.ERROR, Cause.MISSING_REPORT), said(verdict)
