from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence.defect import Defect
from harness.evidence.vmcoreinfo import MAX_BYTES, VmcoreInfo, parse

TEXT = """OSRELEASE=6.1.0-56-cloud-amd64
BUILD-ID=853d8c5d7432e5a8da2b0b63f12b21762d8a9f7b
PAGESIZE=4096
SYMBOL(init_uts_ns)=ffffffff8d0d5220
OFFSET(uts_namespace.name)=0
SIZE(page)=56
LENGTH(mem_section)=131072
NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129
NUMBER(phys_base)=-90177536
NUMBER(VA_BITS)=0x30
KERNELOFFSET=b600000
CRASHTIME=1795256349
"""


def known(text: str | bytes = TEXT) -> VmcoreInfo:
    info = parse(text)
    assert isinstance(info, VmcoreInfo), info
    return info


def test_values() -> None:
    info = known()
    assert (info.release, info.build_id) == ("6.1.0-56-cloud-amd64", "853d8c5d7432e5a8da2b0b63f12b21762d8a9f7b")
    assert (info.kernel_offset, info.phys_base, info.values["CRASHTIME"]) == (0xB600000, -90177536, "1795256349")
    assert (info.page_bytes, info.symbol("init_uts_ns")) == (4096, 0xFFFFFFFF8D0D5220)
    assert (info.size("page"), info.offset("uts_namespace.name"), info.length("mem_section")) == (56, 0, 131072)
    assert (info.number("PAGE_BUDDY_MAPCOUNT_VALUE"), info.number("VA_BITS")) == (-129, 0x30)


def test_what_is_not_there() -> None:
    info = known("OSRELEASE=5.10.0\n")
    assert (info.build_id, info.phys_base, info.kernel_offset) == (None, None, 0)
    assert (info.symbol("x"), info.size("x"), info.offset("x.y"), info.length("x"), info.number("x")) == (None,) * 5


def test_bytes_with_padding() -> None:
    assert known(TEXT.encode() + bytes(100)) == known()


def test_the_last_of_two_counts() -> None:
    assert known(TEXT + "CRASHTIME=5\n").values["CRASHTIME"] == "5"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("no equals sign", "a line of another form"),
        ("SYMBOL(a=b)=12", "a line of another form"),
        ("KEY=\x01", "a line of another form"),
        ("SYMBOL(x)=xyz", "a bad number"),
        ("SYMBOL(x)=" + 17 * "f", "a bad number"),
        ("SIZE(x)=12 ", "a bad number"),
        ("NUMBER(x)=" + 21 * "9", "a bad number"),
        ("NUMBER(x)=", "a bad number"),
        ("CRASHTIME=now", "a bad number"),
    ],
)
def test_bad_lines(line: str, says: str) -> None:
    found = parse(TEXT + line + "\n")
    assert isinstance(found, Defect)
    assert says in found.text


def test_no_release() -> None:
    assert parse("PAGESIZE=4096\n") == parse("") == Defect("VMCOREINFO has no OSRELEASE")


def test_endless_text() -> None:
    assert parse(b"A=1\n" * MAX_BYTES) == Defect(f"VMCOREINFO is longer than {MAX_BYTES} bytes")


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    for found in (parse(data), parse(TEXT.encode() + data)):
        if isinstance(found, VmcoreInfo):
            assert (found.kernel_offset, found.page_bytes) >= (0, 0)
            assert found.release
