"""Who wrote, in words."""

from __future__ import annotations

import pytest

from harness.evidence.code.culprit import changed, guilty, sentence
from harness.evidence.ranges import Range
from harness.model.autopsy import Owner
from harness.model.culprit import Culprit, Target, Write
from harness.model.record import Phase
from harness.model.words.tables import TableName
from harness.report import culprit as report

from .autopsies import place

ESRT = Target(name=TableName.ESRT, start=0x39FFF100, end=0x39FFF188)
COPY = place("swap_pages", 0x72, Owner.CONTROL, address=0x3E9C71DC)


def write(start: int = ESRT.start, end: int = ESRT.end, **more: object) -> Write:
    size = end - start
    values: dict[str, object] = {
        "t_s": 24.77,
        "epoch": 2,
        "phase": Phase.JUMP,
        "cpu": 0,
        "place": COPY,
        "through": ESRT.start,
        "target": ESRT,
        "count": 17,
        "before_hex": "00" * size,
        "after_hex": "48" * size,
        "registers": {"rip": 0x3E9C71DC},
        "code_hex": "f348a5",
    }
    return Write(start=start, end=end, **{**values, **more})  # type: ignore[arg-type]


def culprit(*writes: Write, damaged: bool = True, **more: object) -> Culprit:
    targets = (ESRT,)
    values = {"variant": "v", "targets": targets, "damaged": targets if damaged else (), "writes": writes}
    return Culprit(**{**values, **more})  # type: ignore[arg-type]


def test_changed() -> None:
    assert changed(b"abcdef", b"abXdYf", 100) == Range(102, 105)
    assert changed(b"abc", b"abc", 100) == Range(100, 100)
    assert changed(b"abc", b"Xbc", 0) == Range(0, 1)
    with pytest.raises(ValueError, match="longer"):
        changed(b"abc", b"abcd", 0)


def test_the_copy_loop_and_the_segment() -> None:
    found = culprit(write(segment="segment[3] (initrd) 0x37536000-0x3b5fffff of the kernel that epoch 1 loaded"))
    assert sentence(found) == (
        "the copy loop of kexec, swap_pages+0x72 (the copy in the kexec control page) overwrote 136 of 136 watched "
        "bytes of the esrt (0x39fff100-0x39fff187) in epoch 2, phase kexec jump, through the identity-mapped address "
        "0x39fff100; the place belongs to segment[3] (initrd) 0x37536000-0x3b5fffff of the kernel that epoch 1 loaded"
    )


def test_a_kernel_through_its_direct_map() -> None:
    found = culprit(write(place=place("memset", 5), through=0xFF11000039FFF100))
    assert sentence(found).startswith("the kernel, in memset+0x5 overwrote")
    assert "direct-map address 0xff11000039fff100" in sentence(found)


def test_the_first_that_changed_something() -> None:
    same = write(ESRT.start, ESRT.start, place=place("reads_and_writes_back"))
    later = write(place=place("late"))
    found = culprit(same, write(), later)
    assert guilty(found) == write()


def test_a_write_to_something_else_is_not_it() -> None:
    other = Target(name=TableName.BGRT, start=0x1000, end=0x2000)
    found = culprit(write(0x1000, 0x1010, target=other), targets=(ESRT, other))
    assert guilty(found) is None
    assert sentence(found).startswith("nobody was seen writing to the esrt")


def test_nobody() -> None:
    assert sentence(culprit(damaged=False)) == "nobody wrote to the esrt, and it holds what firmware handed over"
    assert "was written to" in sentence(culprit(write(), damaged=False))
    assert guilty(culprit(write(), damaged=False)) is None


def test_the_text() -> None:
    text = report.render(culprit(write(segment="segment[3]", origin="all bytes are those of the initrd"), notes=("n",)))
    assert "wrote 17 times, changing 0x39fff100-0x39fff187" in text
    assert "all bytes are those of the initrd" in text
    assert "note: n" in text
    assert "each time what was there already" in report.render(culprit(write(ESRT.start, ESRT.start)))
    many = report.render(culprit(*[write()] * 12))
    assert "and 4 more, see culprit.json" in many
    assert max(map(len, many.splitlines())) <= 120
